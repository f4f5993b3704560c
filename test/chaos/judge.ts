import { type RefusalReason, refusals } from '#core/refusal.ts'
import type { AccessLine } from '#test/end-to-end/support/gateway.ts'
import type { Answer } from './answer-reader.ts'
import { firstDifference } from './engine.ts'
import type { EngineCall } from './engine-call.ts'
import { type Ending, faultOf } from './faults.ts'
import type { ChaosRecord, Track } from './record.ts'
import { chaosModels } from './request-plan.ts'

/** Endings counted over a run: by fault of the last delivery, then by ending. */
export type EndingCounts = Map<string, Map<string, number>>

/** What shaky endpoints may do to any request. */
const shakyEndings: ReadonlySet<string> = new Set([
  'error-event',
  'cut',
  'no-endpoint',
  'upstream-unreachable',
  'upstream-reset',
  'upstream-connect-timeout',
  'upstream-first-byte-timeout',
])

/** Tries after the first that the configuration of the run allows. */
export const retryAttempts = 2

/** Sums over all access lines and answers, to be compared with the metrics. */
export class Judge {
  readonly endings: EndingCounts = new Map()

  /** Holds one request against what must be true of it. */
  readonly judge = (track: Track, record: ChaosRecord): void => {
    if (isCrowdedOut(track)) {
      record.crowdedOut++
      return
    }
    if (track.metStall && isTimeout(track)) {
      record.stalled++
      return
    }
    const problems = track.mustRefuse === undefined ? this.#problems(track) : refusalProblems(track, track.mustRefuse)
    for (const problem of problems) record.violation(track, problem)
  }

  #problems(track: Track): string[] {
    const { answer, hasLeft, line } = track
    if (line === undefined && track.isSent && !hasLeft && !track.isForgone) return ['no line in the access log']
    const sequence = deliveryProblems(track)
    if (answer === undefined) {
      if (hasLeft || track.isForgone) {
        this.#count(track, hasLeft ? 'client left' : 'connection ended')
        return sequence
      }
      return ['the connection ended without an answer', ...sequence]
    }
    const reading = readAnswer(track, answer)
    if (reading.ending !== undefined) this.#count(track, hasLeft ? 'client left' : reading.ending)
    const isAllowed = hasLeft || reading.ending === undefined || allowed(track, reading.ending)
    const unexpected = isAllowed ? [] : [`it must not end in '${reading.ending}'`]
    return [...reading.problems, ...unexpected, ...sequence, ...lineProblems(track, reading.ending, answer)]
  }

  #count(track: Track, ending: string): void {
    const fault = track.calls.at(-1)?.fault ?? 'no endpoint reached'
    const byEnding = this.endings.get(fault) ?? new Map<string, number>()
    byEnding.set(ending, (byEnding.get(ending) ?? 0) + 1)
    this.endings.set(fault, byEnding)
  }
}

/** Something was too late: the engines and clients of this process, when it stalled. */
function isTimeout({ answer, line }: Track): boolean {
  return /timeout|client-too-slow/.test(`${line?.reason} ${answer?.headers.get('x-infer-reason')}`)
}

/** A connection beyond the limit is told so, or reset when it had sent something already. */
function isCrowdedOut({ metCrowd, calls, answer, line }: Track): boolean {
  if (!metCrowd || calls.length > 0 || line !== undefined) return false
  return answer === undefined || answer.headers.get('x-infer-reason') === 'too-many-connections'
}

/** Whether a request whose last delivery is known may end so. */
function allowed(track: Track, ending: string): boolean {
  const last = track.calls.at(-1)
  const { isShaky } = chaosModels[track.plan.model]
  if (isShaky && shakyEndings.has(ending)) return true
  if (last === undefined) return false
  return (faultOf(last.fault).ends as readonly string[]).includes(ending)
}

/** A request may come to engines again only after a fault that allows it, and not too often. */
function deliveryProblems({ calls, plan, line }: Track): string[] {
  const problems: string[] = []
  for (const call of calls.slice(0, -1)) {
    const mayRepeat = faultOf(call.fault).elsewhere === true || chaosModels[plan.model].isShaky
    if (!mayRepeat) problems.push(`it was sent again after '${call.fault}'`)
  }
  const attempts = Number(line?.attempts ?? calls.length)
  if (attempts > 1 + retryAttempts) problems.push(`${attempts} tries`)
  // A connection that turns out to be dead may cost a further delivery for each try.
  if (calls.length > 2 * attempts) problems.push(`${calls.length} deliveries in ${attempts} tries`)
  return problems
}

interface Reading {
  readonly ending: Ending | undefined
  readonly problems: readonly string[]
}

/** What kind of answer this is, and what is wrong with its bytes. */
function readAnswer(track: Track, answer: Answer): Reading {
  const mark = answer.headers.get('x-chaos')
  if (mark === undefined) {
    if (answer.status === 0)
      return { ending: track.hasLeft ? 'cut' : undefined, problems: track.hasLeft ? [] : ['half a response head'] }
    return readRefusal(track, answer)
  }
  const [id, delivery] = mark.split(' ')
  const call = track.calls[Number(delivery) - 1]
  if (id !== track.plan.id || call === undefined) return { ending: undefined, problems: [`the answer is to ${mark}`] }
  const { problems, ending } = readEngineAnswer(track, answer, call)
  const isStale = call !== track.calls.at(-1) && !track.hasLeft
  const stale = isStale ? [`the answer is of delivery ${delivery}, but there were ${track.calls.length}`] : []
  return { ending, problems: [...problems, ...headProblems(track, answer), ...stale] }
}

function readEngineAnswer(track: Track, answer: Answer, call: EngineCall): Reading {
  const { status, body } = call.meant
  if (answer.status !== status)
    return { ending: undefined, problems: [`the status is ${answer.status}, not ${status}`] }
  if (answer.isWhole && answer.body === body) return { ending: 'whole', problems: [] }
  if (body.startsWith(answer.body)) {
    if (!answer.isWhole) return { ending: 'cut', problems: [] }
    return {
      ending: undefined,
      problems: [`a success that is not whole: ${answer.body.length} of ${body.length} bytes`],
    }
  }
  const errorAt = track.plan.stream ? lastEventAt(answer.body) : -1
  if (errorAt < 0 || !body.startsWith(answer.body.slice(0, errorAt))) {
    return { ending: undefined, problems: [`other bytes than the engine sent: ${firstDifference(answer.body, body)}`] }
  }
  const problem = errorEventProblem(track, answer.body.slice(errorAt))
  if (problem !== undefined) return { ending: undefined, problems: [problem] }
  return answer.isWhole ? { ending: 'error-event', problems: [] } : { ending: 'cut', problems: [] }
}

/** Where the last event of a stream begins; -1 when it does not end between two events. */
function lastEventAt(body: string): number {
  if (!body.endsWith('\n\n')) return -1
  const before = body.lastIndexOf('\n\n', body.length - 3)
  return before < 0 ? 0 : before + 2
}

/** What is wrong with an event that the gateway ended a stream with. */
function errorEventProblem({ plan }: Track, event: string): string | undefined {
  const lines = event.trimEnd().split('\n')
  const data = lines.at(-1)?.replace(/^data: /, '') ?? ''
  try {
    const record = JSON.parse(data) as { type?: string; error?: { message?: string; code?: string; type?: string } }
    if (typeof record.error?.message !== 'string') return `an error event without a message: ${event}`
    if (plan.api === 'messages') {
      return lines[0] === 'event: error' && record.type === 'error' ? undefined : `no Anthropic error event: ${event}`
    }
    return lines.length === 1 && typeof record.error.code === 'string' ? undefined : `no OpenAI error event: ${event}`
  } catch {
    return `an event that is no error event and not the engine's: ${event.slice(0, 300)}`
  }
}

/** An answer of the gateway's own. */
function readRefusal(track: Track, answer: Answer): Reading {
  const reason = answer.headers.get('x-infer-reason') as RefusalReason | undefined
  const row = reason === undefined ? undefined : refusals[reason]
  if (reason === undefined || row === undefined) {
    return { ending: undefined, problems: [`neither of the engine nor a refusal: ${answer.status}`] }
  }
  const problems = headProblems(track, answer)
  if (!answer.isWhole) problems.push('a refusal that is not whole')
  if (answer.status !== row.http) problems.push(`status ${answer.status} for ${reason}`)
  try {
    const { error } = JSON.parse(answer.body) as { error: { message: string; code?: string; type: string } }
    const isAnthropic = track.plan.api === 'messages'
    const isRight = isAnthropic ? error.type === row.anthropicType : error.code === row.code && error.type === row.type
    if (!isRight || error.message === '') problems.push(`a refusal of another shape: ${answer.body}`)
  } catch {
    problems.push(`a refusal that is no JSON: ${answer.body}`)
  }
  return { ending: reason, problems }
}

/** The request id comes back with every answer to a request whose head was understood. */
function headProblems({ plan }: Track, { headers, status }: Answer): string[] {
  if (headers.get('x-infer-reason') === 'too-many-connections' && status === 503) return []
  const id = headers.get('x-request-id')
  return id === plan.id ? [] : [`the request id of the answer is ${id}`]
}

/** A client that is itself wrong is told so, in one of the ways that are right, or the connection ends. */
function refusalProblems(track: Track, reasons: readonly string[]): string[] {
  const { answer } = track
  if (track.calls.length > 0) return ['it reached an engine']
  if (answer === undefined)
    return track.hasLeft ? [] : [`the connection ended without an answer; due: ${reasons.join(', ')}`]
  const reason = answer.headers.get('x-infer-reason') ?? ''
  if (!reasons.includes(reason)) return [`the answer is ${answer.status} (${reason}), not ${reasons.join(' or ')}`]
  return answer.isWhole && answer.isLast ? [] : ['the connection goes on after it']
}

/** What the line in the access log must agree with. */
function lineProblems(track: Track, ending: Ending | undefined, answer: Answer): string[] {
  const { line } = track
  if (line === undefined || track.hasLeft || ending === undefined) return []
  const problems: string[] = []
  const expect = (field: string, value: AccessLine[string]): void => {
    if (line[field] !== value) problems.push(`the log has ${field} ${line[field]}, not ${value}`)
  }
  expect('status', answer.status)
  expect('cut', ending === 'error-event' || ending === 'cut' ? true : undefined)
  expect('client_abort', undefined)
  if (ending !== 'error-event' && ending !== 'cut') expect('reason', answer.headers.get('x-infer-reason'))
  return problems
}
