import type { DecisionHead, DecisionRecord } from '#contracts/decision-record.ts'
import type { DecisionQuery } from './decision-ring.ts'
import { renderDecision, renderDecisions } from './decision-words.ts'

/** Recorded decisions of all threads. */
export interface DecisionReport {
  /** Newest first. */
  readonly decisions: readonly (DecisionHead | DecisionRecord)[]
  /** There are more than were asked for, or than fit an answer. */
  readonly isTruncated: boolean
  /** Threads that did not say in time what they have recorded. */
  readonly silentThreads: readonly string[]
  /** Profiles in force by name, without secrets: as a configuration has them, every default filled in. */
  readonly profiles: Readonly<Record<string, unknown>>
}

/** What a page is to be. */
export interface PageAnswer {
  readonly status: number
  readonly isText: boolean
  readonly body: string
}

/** Where the list is; one decision is below it, under the id of its request. */
export const decisionsPath = '/debug/decisions'

const usualLimit = 20
const maxLimit = 1000
const maxFilterLength = 512

const filterNames = ['model', 'modelServer', 'endpoint', 'profile'] as const
const parameterNames: ReadonlySet<string> = new Set([...filterNames, 'limit', 'full', 'format'])

/** Answers a target at or below `decisionsPath`. `accept` is the header. */
export async function decisionPage(
  target: string,
  accept: string | undefined,
  ask: (query: DecisionQuery) => Promise<DecisionReport>,
): Promise<PageAnswer> {
  const url = new URL(target, 'http://admin.invalid')
  const requestId = idOf(url.pathname)
  if (requestId === undefined) return plain(400, 'the id of the request is not readable: encode it as in a URL')
  const wants = read(url.searchParams)
  if (typeof wants === 'string') return plain(400, wants)
  const format = url.searchParams.get('format')
  const isText = format === null ? accept !== undefined && /^\s*text\/plain\b/.test(accept) : format === 'text'
  const isOne = requestId !== ''
  const report = await ask({ ...wants, requestId: isOne ? requestId : undefined, isWhole: isOne || wants.isWhole })
  if (isOne && report.decisions.length === 0) return notFound(report)
  if (!isText) {
    const { profiles, ...rest } = report
    return { status: 200, isText, body: `${JSON.stringify(wants.isWhole ? report : rest)}\n` }
  }
  return { status: 200, isText, body: `${textOf(report, isOne)}${noteOf(report)}` }
}

/** '' for the list; undefined when it is not encoded as it should be. */
function idOf(path: string): string | undefined {
  try {
    return decodeURIComponent(path.slice(decisionsPath.length + 1))
  } catch {
    return undefined
  }
}

/** The query, or what is wrong with it. */
function read(parameters: URLSearchParams): DecisionQuery | string {
  for (const name of parameters.keys()) {
    if (!parameterNames.has(name))
      return `no parameter '${name.slice(0, 63)}'; there are ${[...parameterNames].join(' ')}`
  }
  const format = parameters.get('format')
  if (format !== null && format !== 'text' && format !== 'json') return "'format' is text or json"
  const limitText = parameters.get('limit')
  const limit = limitText === null ? usualLimit : Number(limitText)
  if (!(Number.isInteger(limit) && limit >= 1 && limit <= maxLimit))
    return `'limit' is a whole number from 1 to ${maxLimit}`
  const full = parameters.get('full')
  if (full !== null && full !== '0' && full !== '1') return "'full' is 0 or 1"
  const [model, modelServer, endpoint, profile] = filterNames.map((name) => parameters.get(name) ?? undefined)
  const filters = { model, modelServer, endpoint, profile }
  if (Object.values(filters).some((text) => (text ?? '').length > maxFilterLength)) return 'a filter is too long'
  return { requestId: undefined, ...filters, limit, isWhole: full === '1' }
}

function textOf({ decisions }: DecisionReport, isOne: boolean): string {
  const whole = decisions.filter((one): one is DecisionRecord => 'candidates' in one)
  return isOne ? whole.toReversed().map(renderDecision).join('\n') : renderDecisions(decisions)
}

function noteOf({ silentThreads, isTruncated }: DecisionReport): string {
  const more = isTruncated ? 'There are more; limit=N shows up to N.\n' : ''
  return `${more}${silentNote(silentThreads)}`
}

function silentNote(threads: readonly string[]): string {
  return threads.length === 0 ? '' : `Not answered in time: ${threads.join(', ')}.\n`
}

function notFound({ silentThreads }: DecisionReport): PageAnswer {
  const why =
    'no decision of this request is recorded: the last ones of each thread are kept, of those requests that asked with ' +
    'x-infer-explain: 1 and of one in scheduler.recordEvery'
  return plain(404, `${why}\n${silentNote(silentThreads)}`.trimEnd())
}

function plain(status: number, message: string): PageAnswer {
  return { status, isText: true, body: `${message}\n` }
}
