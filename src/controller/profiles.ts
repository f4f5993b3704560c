import { hintFor, issueProblems, valueAt } from '#config/issue-problems.ts'
import { parseParameters } from '#config/parse-parameters.ts'
import { readStrategies } from '#config/routing-strategy.ts'
import type { ProfileConfig } from '#config/schema/profile-schema.ts'
import type { PluginPlan, ProfilePlan } from '#config/snapshot.ts'
import type { Env } from '#config/substitute-env.ts'
import type { ExtensionPoint, PluginDefinition } from '#contracts/plugin.ts'
import { below, complain, type Findings, type Spot, warn } from './findings.ts'
import { planOfStrategies } from './scheduling.ts'

/** What profiles are translated with. */
export interface ProfilePorts {
  readonly plugins: readonly PluginDefinition[]
  readonly env: Env
  readonly findings: Findings
}

type PluginConfig = ProfileConfig['picker'] | ProfileConfig['scorers'][number]

/** A profile with the parameters of its plug-ins checked and filled in. */
export function translateProfile(
  profile: ProfileConfig,
  { plugins, env, findings }: ProfilePorts,
  spot: Spot,
): ProfilePlan {
  if (profile.profiles !== undefined) {
    complain(findings, below(spot, 'profiles'), "'profiles' has no meaning without 'handler'", { spot: 'key' })
  }
  if (profile.strategy !== undefined) return strategyPlan(profile.strategy, spot, env, findings)
  const read = (config: PluginConfig, point: ExtensionPoint, at: Spot): PluginPlan => {
    const { type, weight: _weight, ...parameters } = typeof config === 'string' ? { type: config } : config
    return pluginPlan({ type, point, parameters, plugins }, at, findings)
  }
  const producers = profile.producers.map((config, index) => read(config, 'producer', below(spot, 'producers', index)))
  checkProducers(producers, below(spot, 'producers'), findings)
  return {
    ...(producers.length === 0 ? {} : { producers }),
    filters: profile.filters.map((config, index) => read(config, 'filter', below(spot, 'filters', index))),
    scorers: profile.scorers.map((config, index) => ({
      ...read(config, 'scorer', below(spot, 'scorers', index)),
      weight: typeof config === 'string' ? 1 : config.weight,
    })),
    picker: read(profile.picker, 'picker', below(spot, 'picker')),
  }
}

/** A second producer of one type would overwrite what the first has found out. */
function checkProducers(producers: readonly PluginPlan[], spot: Spot, findings: Findings): void {
  for (const [index, { type }] of producers.entries()) {
    if (producers.findIndex((one) => one.type === type) < index)
      complain(findings, below(spot, index), `'${type}' stands here a second time`)
  }
}

/** A profile that names strategies instead of plug-ins. */
function strategyPlan(text: string, spot: Spot, env: Env, findings: Findings): ProfilePlan {
  const given = valueAt(spot.document.value, spot.path)
  for (const key of Object.keys(given ?? {}).filter((one) => one !== 'strategy')) {
    complain(findings, below(spot, key), `'${key}' has no meaning beside 'strategy'`, { spot: 'key' })
  }
  const list = readStrategies(text)
  if ('strategies' in list) return planOfStrategies(list.strategies, env)
  complain(findings, below(spot, 'strategy'), `'strategy' ${list.fails}`)
  return planOfStrategies([], env)
}

/** A plug-in as a profile names it. */
export interface WantedPlugin {
  readonly type: string
  readonly point: ExtensionPoint
  readonly parameters: Readonly<Record<string, unknown>>
  readonly plugins: readonly PluginDefinition[]
  /** Of a profile handler: what it chooses among. */
  readonly profiles?: readonly string[]
}

/** The plug-in with its parameters checked and filled in. */
export function pluginPlan(
  { type, point, parameters, plugins, profiles }: WantedPlugin,
  spot: Spot,
  findings: Findings,
): PluginPlan {
  const plugin = plugins.find((one) => one.type === type)
  const word = point.replace('-', ' ')
  if (plugin === undefined || plugin.point !== point) {
    const message =
      plugin === undefined
        ? `unknown ${word} '${type}'`
        : `'${type}' is a ${plugin.point.replace('-', ' ')}, not a ${word}`
    const types = plugins.filter((one) => one.point === point).map((one) => one.type)
    complain(findings, typeSpot(spot), message, { hint: hintFor(type, types, `${word}s`) })
    return { type, parameters: {} }
  }
  if (plugin.stability === 'alpha') warn(findings, typeSpot(spot), `${word} '${type}' is alpha: it may change or go`)
  const result = parseParameters(plugin.parameters, parameters)
  if (!result.success) {
    findings.problems.push(...issueProblems(spot.document, result.error.issues, spot.path))
    return { type, parameters: {} }
  }
  const caution = plugin.caution?.(result.data, profiles)
  if (caution !== undefined) warn(findings, typeSpot(spot), caution)
  return { type, parameters: result.data as Readonly<Record<string, unknown>> }
}

/** Of a mapping the place of its type; of a bare type that itself. */
function typeSpot(spot: Spot): Spot {
  return below(spot, 'type')
}
