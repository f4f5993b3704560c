import type { ProfilePlan } from '#config/snapshot.ts'
import type { Env } from '#config/substitute-env.ts'
import type { DecisionHead, DecisionRecord } from '#contracts/decision-record.ts'
import { Fault } from '#core/fault.ts'
import { decisionsPath } from '#observe/decision-pages.ts'
import { renderDecision, renderDecisions } from '#observe/decision-words.ts'
import { otherProfile, renderWhatIf, whatIf } from './what-if.ts'

/** What is to be explained. */
export interface ExplainPlan {
  /** Base URL of the admin server. */
  readonly admin: string
  /** One request; undefined: the last ones. */
  readonly requestId: string | undefined
  readonly last: number
  readonly model?: string | undefined
  readonly modelServer?: string | undefined
  readonly endpoint?: string | undefined
  readonly profile?: string | undefined
  /** A profile or a configuration under which they are made again. */
  readonly whatIf?: string | undefined
  readonly isJson: boolean
  readonly env: Env
}

/** What the admin server answers. */
interface Report {
  readonly decisions: readonly (DecisionHead | DecisionRecord)[]
  readonly isTruncated: boolean
  readonly silentThreads: readonly string[]
  readonly profiles?: Readonly<Record<string, ProfilePlan>>
}

/** How long the gateway may take: its threads have a second to answer. */
const limitMs = 5000

/** Asks a running gateway why requests went where they did; the text to print. Throws a Fault that says what to do. */
export async function explain(plan: ExplainPlan): Promise<string> {
  const isWhole = plan.requestId !== undefined || plan.whatIf !== undefined
  const report = await ask(plan, isWhole)
  const notes = notesOf(report)
  if (plan.whatIf !== undefined) {
    const inForce = report.profiles ?? {}
    const result = whatIf(
      report.decisions.filter(isRecord),
      await otherProfile(plan.whatIf, inForce, plan.env),
      inForce,
    )
    return plan.isJson ? jsonOf(result) : `${renderWhatIf(result)}${notes}`
  }
  if (plan.isJson) return jsonOf(report.decisions)
  if (plan.requestId === undefined) return `${renderDecisions(report.decisions)}${notes}`
  return `${report.decisions.filter(isRecord).toReversed().map(renderDecision).join('\n')}${notes}`
}

function isRecord(decision: DecisionHead | DecisionRecord): decision is DecisionRecord {
  return 'candidates' in decision
}

function jsonOf(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`
}

function notesOf({ silentThreads }: Report): string {
  return silentThreads.length === 0 ? '' : `Not answered in time: ${silentThreads.join(', ')}.\n`
}

async function ask(plan: ExplainPlan, isWhole: boolean): Promise<Report> {
  const url = targetOf(plan, isWhole)
  const { status, text } = await get(url, plan.admin)
  if (status === 404 && plan.requestId !== undefined && !text.startsWith('no such page')) {
    throw new Fault('client', `request '${plan.requestId}': ${text.trim()}`)
  }
  if (status !== 200) {
    const first = text.split('\n', 1)[0] ?? ''
    throw new Fault('upstream', `${plan.admin} answered ${status}: ${first.slice(0, 300)}`)
  }
  try {
    return JSON.parse(text) as Report
  } catch (cause) {
    throw new Fault('upstream', `${plan.admin} is not the admin server of an infer-gateway`, { cause })
  }
}

function targetOf({ admin, requestId, last, ...filters }: ExplainPlan, isWhole: boolean): URL {
  let url: URL
  try {
    url = new URL(admin)
  } catch (cause) {
    throw new Fault('client', `'${admin}' is no URL such as http://127.0.0.1:9090`, { cause })
  }
  const base = url.pathname.replace(/\/$/, '')
  url.pathname =
    requestId === undefined ? `${base}${decisionsPath}` : `${base}${decisionsPath}/${encodeURIComponent(requestId)}`
  url.searchParams.set('limit', String(last))
  if (isWhole) url.searchParams.set('full', '1')
  for (const name of ['model', 'modelServer', 'endpoint', 'profile'] as const) {
    const value = filters[name]
    if (value !== undefined) url.searchParams.set(name, value)
  }
  return url
}

async function get(url: URL, admin: string): Promise<{ readonly status: number; readonly text: string }> {
  try {
    const response = await fetch(url, { headers: { accept: 'application/json' }, signal: AbortSignal.timeout(limitMs) })
    return { status: response.status, text: await response.text() }
  } catch (caught) {
    const error = caught as Error & { readonly cause?: { readonly code?: string; readonly message?: string } }
    const why =
      error.name === 'TimeoutError'
        ? `no answer within ${limitMs / 1000} s`
        : (error.cause?.code ?? error.cause?.message ?? error.message)
    const message = `the admin server at ${admin} cannot be asked (${why}); --admin says where it is, as 'admin' in the configuration`
    throw new Fault('upstream', message, { cause: caught })
  }
}
