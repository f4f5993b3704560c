import type { ConfigProblem } from '#config/problem.ts'
import { renderProblems } from '#config/render-problems.ts'
import type { RoutePlan, RulePlan, Snapshot } from '#config/snapshot.ts'
import type { Env } from '#config/substitute-env.ts'
import { loadSnapshot } from '#controller/load-snapshot.ts'
import { systemClock } from '#core/clock.ts'
import { builtInProfiles } from '#plugins/built-in-profiles.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { plugins } from '#plugins/index.ts'

/** A route as the summary shows it. */
export interface RouteSummary {
  readonly name: string
  readonly model: string | undefined
  readonly adapters: readonly string[]
  readonly rules: readonly {
    readonly when: string
    readonly targets: readonly { readonly modelServer: string; readonly percent: number }[]
  }[]
}

/** A model server as the summary shows it: nothing of its credentials. */
export interface ModelServerSummary {
  readonly key: string
  readonly servedModel: string | undefined
  readonly profile: string
  readonly endpoints: readonly { readonly id: string; readonly engine: string; readonly role: string }[]
}

/** What a configuration comes to. Holds no secrets. */
export interface CheckReport {
  readonly source: string
  readonly ok: boolean
  readonly files: readonly string[]
  readonly problems: readonly ConfigProblem[]
  readonly warnings: readonly ConfigProblem[]
  readonly listeners: readonly string[]
  readonly admin: string | undefined
  readonly routes: readonly RouteSummary[]
  readonly modelServers: readonly ModelServerSummary[]
  /** Names that are looked up while the gateway runs; not here. */
  readonly dnsNames: readonly string[]
}

/** Loads a configuration without starting anything or looking anything up. */
export async function checkConfig(source: string, env: Env): Promise<CheckReport> {
  const result = await loadSnapshot(source, {
    env,
    plugins,
    defaultProfile,
    builtInProfiles,
    wallMs: systemClock().wallMs,
  })
  const { files, warnings } = result
  const dnsNames = result.dnsNames.map(({ name }) => name)
  const problems = result.ok ? [] : result.problems
  const common = { source, ok: result.ok, files, problems, warnings, dnsNames }
  if (!result.ok) return { ...common, listeners: [], admin: undefined, routes: [], modelServers: [] }
  return { ...common, ...summaryOf(result.snapshot) }
}

function summaryOf(snapshot: Snapshot): Pick<CheckReport, 'listeners' | 'admin' | 'routes' | 'modelServers'> {
  const { listeners, admin, routes, modelServers } = snapshot
  return {
    listeners: listeners.map(({ address, port, tls }) => urlOf(address, port, tls === undefined ? 'http' : 'https')),
    admin: urlOf(admin.address, admin.port, 'http'),
    routes: routes.map(routeSummary),
    modelServers: modelServers.map(({ key, servedModel, profile, endpoints }) => ({
      key,
      servedModel,
      profile,
      endpoints: endpoints.map(({ id, engine, role }) => ({ id, engine, role })),
    })),
  }
}

function urlOf(address: string, port: number, scheme: string): string {
  return `${scheme}://${address.includes(':') ? `[${address}]` : address}:${port}`
}

function routeSummary({ name, modelName, adapters, rules }: RoutePlan): RouteSummary {
  return {
    name,
    model: modelName,
    adapters,
    rules: rules.map((rule) => {
      const total = rule.targets.reduce((sum, { weight }) => sum + weight, 0)
      const targets = rule.targets.map(({ modelServer, weight }) => ({ modelServer, percent: (weight / total) * 100 }))
      return { when: conditionOf(rule), targets }
    }),
  }
}

const signs = { exact: '=', prefix: 'begins with', regex: 'matches' } as const

function conditionOf({ headers, path, model }: RulePlan): string {
  const conditions = headers.map(({ name, match }) => `${name} ${signs[match.kind]} '${match.value}'`)
  if (path !== undefined) conditions.push(`path ${signs[path.kind]} '${path.value}'`)
  if (model !== undefined) conditions.push(`model = '${model}'`)
  return conditions.join(' and ')
}

/** The report as text: what the configuration comes to, or what is wrong. Ends with a line break. */
export function renderCheck(report: CheckReport, color: boolean): string {
  const { source, problems, warnings } = report
  const blocks = warnings.length === 0 ? [] : [renderProblems(warnings, { severity: 'warning', color })]
  if (!report.ok) {
    blocks.push(renderProblems(problems, { color }), `${source}: ${count(problems.length, 'problem')}`)
    return `${blocks.join('\n\n')}\n`
  }
  const note = warnings.length === 0 ? '' : `, with ${count(warnings.length, 'warning')}`
  blocks.push(`${source}: valid${note}`, placeLines(report).join('\n'))
  if (report.routes.length > 0) blocks.push(table(['MODEL', 'ADAPTERS', 'GOES TO', 'WHEN'], routeRows(report)))
  if (report.modelServers.length > 0) blocks.push(table(['MODEL SERVER', 'ENDPOINT', 'ENGINE'], serverRows(report)))
  return `${blocks.join('\n\n')}\n`
}

function count(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? '' : 's'}`
}

function placeLines({ listeners, admin = '', files, dnsNames }: CheckReport): string[] {
  const lines = [`files      ${files.join(', ')}`, `listeners  ${listeners.join(', ')}`, `admin      ${admin}`]
  if (dnsNames.length > 0) lines.push(`DNS names  ${dnsNames.join(', ')} (looked up while the gateway runs)`)
  return lines
}

function routeRows({ routes }: CheckReport): string[][] {
  return routes.flatMap(({ name, model, adapters, rules }) =>
    rules.map(({ when, targets }, index) => {
      const to = targets.map((target) =>
        targets.length === 1 ? target.modelServer : `${target.modelServer} ${Number(target.percent.toFixed(1))}%`,
      )
      const isFirst = index === 0
      return [isFirst ? (model ?? `(${name})`) : '', isFirst ? adapters.join(', ') : '', to.join(', '), when]
    }),
  )
}

const maxEndpoints = 20

function serverRows({ modelServers, dnsNames }: CheckReport): string[][] {
  return modelServers.flatMap(({ key, endpoints }) => {
    if (endpoints.length === 0) return [[key, dnsNames.length > 0 ? '(none before look-up)' : '(none)', '']]
    const rows = endpoints.slice(0, maxEndpoints).map(({ id, engine, role }, index) => {
      return [index === 0 ? key : '', id, role === 'both' ? engine : `${engine}, ${role}`]
    })
    const more = endpoints.length - maxEndpoints
    return more > 0 ? [...rows, ['', `... and ${more} more`, '']] : rows
  })
}

/** Columns as wide as their widest cell; columns without any content are left out. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const used = head.map((_, column) => rows.some((row) => (row[column] ?? '') !== ''))
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd((widths[column] ?? 0) + 3))
      .filter((_, column) => used[column])
      .join('')
      .trimEnd()
  return [line(head), ...rows.map(line)].join('\n')
}
