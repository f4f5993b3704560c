/** One request of a recorded service. */
export interface TraceRequest {
  /** From the first request of the file. */
  readonly atMs: number
  readonly inputTokens: number
  readonly outputTokens: number
  /** One id per block of 512 tokens; the same id is the same block after the same prefix. Empty: nothing is known. */
  readonly blocks: readonly number[]
}

/**
 * - `mooncake` (model-servers.md 4.1): a JSON object a line with `timestamp` in milliseconds, `input_length`, `output_length`
 *   and `hash_ids`.
 * - `azure`: CSV with a head line, then when, context tokens, generated tokens. When is a date with a time, or seconds.
 */
export type TraceFormat = 'mooncake' | 'azure'

/** A trace, its requests in order of time. */
export interface Trace {
  readonly format: TraceFormat
  readonly requests: readonly TraceRequest[]
}

/** A trace file that cannot be read: says file, line and what is wrong there. */
export class TraceError extends Error {
  constructor(file: string, line: number, problem: string) {
    super(`${file}:${line}: ${problem}`)
    this.name = 'TraceError'
  }
}

/** Tokens of a block of a Mooncake trace. */
export const traceBlockTokens = 512

/** Most requests of a file: what is read stays within a few hundred megabytes. */
const mostRequests = 1_000_000
/** Most tokens of a prompt with its answer: an engine that traces are replayed on holds no more. */
const mostTokens = 300_000

/**
 * Reads a trace; `file` only names it in messages. Which format it is, the first line says; `format` asks for one. Throws a
 * TraceError for a file that is neither, a line that is no request, or more than a million requests.
 */
export function parseTrace(file: string, text: string, format?: TraceFormat): Trace {
  const start = text.charCodeAt(0) === 0xfeff ? 1 : 0
  const found = formatOf(text, start)
  if (found === undefined || (format !== undefined && found !== format)) {
    throw new TraceError(file, 1, `this is not a trace in the format ${format ?? 'of Mooncake or Azure'}`)
  }
  const requests: TraceRequest[] = []
  let line = 0
  for (let at = start; at < text.length; ) {
    const end = endOfLine(text, at)
    const content = text.slice(at, end).trim()
    at = end + 1
    line++
    if (content === '' || (found === 'azure' && line === 1)) continue
    if (requests.length === mostRequests) throw new TraceError(file, line, `more than ${mostRequests} requests`)
    const request = found === 'mooncake' ? mooncakeRequest(content) : azureRequest(content)
    if (typeof request === 'string') throw new TraceError(file, line, request)
    if (request.inputTokens + request.outputTokens > mostTokens) {
      throw new TraceError(file, line, `more than ${mostTokens} tokens in one request`)
    }
    requests.push(request)
  }
  const [first] = requests
  if (first === undefined) throw new TraceError(file, Math.max(1, line), 'there is no request')
  const firstMs = requests.reduce((least, { atMs }) => Math.min(least, atMs), first.atMs)
  return {
    format: found,
    requests: requests
      .map((request) => ({ ...request, atMs: request.atMs - firstMs }))
      .toSorted((a, b) => a.atMs - b.atMs),
  }
}

function endOfLine(text: string, at: number): number {
  const end = text.indexOf('\n', at)
  return end < 0 ? text.length : end
}

/** The heads of Azure's own files, of Vidur's copies and of the cuts that come with the laboratory. */
const azureHeads: readonly string[] = [
  'timestamp,contexttokens,generatedtokens',
  'arrived_at,num_prefill_tokens,num_decode_tokens',
  'seconds,context_tokens,generated_tokens',
]

function formatOf(text: string, start: number): TraceFormat | undefined {
  const head = text.slice(start, Math.min(endOfLine(text, start), start + 4_096)).trim()
  if (head.startsWith('{')) return 'mooncake'
  return azureHeads.includes(head.toLowerCase()) ? 'azure' : undefined
}

/** A request, or what is wrong with its line. */
function mooncakeRequest(line: string): TraceRequest | string {
  let fields: Record<string, unknown> | null
  try {
    fields = JSON.parse(line) as Record<string, unknown> | null
  } catch {
    return 'this is not JSON'
  }
  const { timestamp, input_length: inputTokens, output_length: outputTokens, hash_ids: blocks } = fields ?? {}
  if (typeof timestamp !== 'number' || !(timestamp >= 0)) return 'timestamp is not a number of milliseconds'
  if (!isCount(inputTokens, 1)) return notTokens('input_length', 1)
  if (!isCount(outputTokens, 0)) return notTokens('output_length', 0)
  const wanted = Math.ceil(inputTokens / traceBlockTokens)
  if (!isBlockList(blocks) || blocks.length !== wanted) {
    return `hash_ids is not a list of ${wanted} numbers: one per ${traceBlockTokens} tokens of input_length`
  }
  return { atMs: timestamp, inputTokens, outputTokens, blocks }
}

function azureRequest(line: string): TraceRequest | string {
  const [when = '', input, output, ...others] = line.split(',')
  if (input === undefined || output === undefined || others.length > 0) return 'a line has three fields'
  const atMs = timeOf(when)
  if (Number.isNaN(atMs)) return `'${when.slice(0, 40)}' is neither a time nor a number of seconds`
  const inputTokens = numberOf(input)
  const outputTokens = numberOf(output)
  if (!isCount(inputTokens, 1)) return notTokens('the second field', 1)
  if (!isCount(outputTokens, 0)) return notTokens('the third field', 0)
  return { atMs, inputTokens, outputTokens, blocks: [] }
}

const decimal = /^\d{1,12}(\.\d+)?$/
const dateTime = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(\.\d+)?$/

function numberOf(text: string): number {
  return decimal.test(text.trim()) ? Number(text) : Number.NaN
}

/** Milliseconds of `2023-11-16 18:17:03.9799600`, whose fraction has more digits than a Date takes, or of seconds. */
function timeOf(text: string): number {
  const parts = dateTime.exec(text.trim())
  if (parts === null) return numberOf(text) * 1e3
  const [, date = '', time = '', fraction = ''] = parts
  return Date.parse(`${date}T${time}Z`) + Number(`0${fraction}`) * 1e3
}

function isCount(value: unknown, least: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value <= mostTokens
}

function notTokens(name: string, least: number): string {
  return `${name} is not a whole number from ${least} to ${mostTokens}`
}

function isBlockList(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((each) => Number.isInteger(each))
}
