import type { Answered } from './ask.ts'

/**
 * The shape of an answer as lines of text: status, headers, and each leaf of the JSON body with its type, and with its value
 * where that does not change from run to run. Equal shapes are equal lists; each line is one point of comparison.
 */
export type Shape = readonly string[]

/** Headers whose value differs from answer to answer; their presence counts. */
const VARIABLE_HEADERS = new Set(['date', 'content-length', 'process-start-time-unix'])

/** Headers with measured numbers in them. */
const MEASURING_HEADERS = new Set(['endpoint-load-metrics'])

/** Fields whose text says what kind of thing it is. Other texts are the model's or the host's, and only their type counts. */
const TELLING_TEXTS = new Set([
  'code',
  'detail',
  'error',
  'finish_reason',
  'item.type',
  'message',
  'model',
  'name',
  'object',
  'owned_by',
  'param',
  'parent',
  'reason',
  'role',
  'service_tier',
  'status',
  'stop_reason',
  'tool_choice',
  'truncation',
  'type',
  'version',
])

/** Fields whose number follows from the question alone. */
const TELLING_NUMBERS = new Set([
  'code',
  'completion_tokens',
  'content_index',
  'index',
  'max_model_len',
  'max_output_tokens',
  'n_ctx',
  'output_index',
  'output_tokens',
  'reasoning_tokens',
  'server_load',
  'tokens_predicted',
  'top_logprobs',
  'total_slots',
])

/** Those that count along a stream, where only their type is looked at. */
const COUNTING_NUMBERS = new Set(['completion_tokens', 'output_tokens', 'tokens_predicted'])

/** The shape of one whole answer. */
export function shapeOf({ status, headers, text }: Answered): Shape {
  if (status === 0) return ['connection closed without an answer']
  const type = headers.find(([name]) => name === 'content-type')?.[1] ?? ''
  return [`status ${status}`, ...headers.map(headerLine).toSorted(), ...bodyShape(type, text)]
}

function headerLine([name, value]: readonly [string, string]): string {
  if (name === 'x-request-id' && /^[0-9a-f]{32}$/.test(value)) return `header ${name}: fresh`
  const shown = MEASURING_HEADERS.has(name) ? maskText(value) : value
  return `header ${name}: ${VARIABLE_HEADERS.has(name) ? '*' : shown}`
}

function bodyShape(type: string, text: string): string[] {
  if (text === '') return ['body empty']
  if (type.startsWith('text/event-stream')) return streamShape(text)
  const value = parsed(text)
  return value === undefined
    ? [`body text ${JSON.stringify(maskText(text))}`]
    : leavesOf(value, '', false).map((leaf) => `body ${leaf}`)
}

/** Events in order; equal neighbours count once, for an engine may put several tokens into one. */
function streamShape(text: string): string[] {
  const shapes: string[][] = []
  for (const event of text.split(/\r?\n\r?\n/).filter((part) => part !== '')) {
    const shape = eventShape(event)
    if (JSON.stringify(shape) !== JSON.stringify(shapes.at(-1))) shapes.push(shape)
  }
  return shapes.flatMap((shape, i) => shape.map((line) => `event ${i + 1} ${line}`))
}

function eventShape(event: string): string[] {
  return event.split(/\r?\n/).flatMap((line) => {
    const colon = line.indexOf(':')
    const [field, value] = [line.slice(0, colon), line.slice(colon + 1)]
    if (field !== 'data') return [`${field}:${value}`]
    const json = parsed(value)
    const space = value.startsWith(' ') ? '' : ' (no space)'
    return json === undefined ? [`data:${value}`] : leavesOf(json, '', true).map((leaf) => `data${space} ${leaf}`)
  })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** One line for each leaf; the elements of a list are put together. */
function leavesOf(value: unknown, path: string, isEvent: boolean): string[] {
  if (Array.isArray(value)) {
    if (value.length === 0) return [`${path}[] empty`]
    return [...new Set(value.flatMap((item) => leavesOf(item, `${path}[]`, isEvent)))]
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value)
    if (entries.length === 0) return [`${path}{} empty`]
    // Tokens stand for the names of these fields.
    if (path.endsWith('top_logprobs[]') && entries.every(([, item]) => typeof item === 'number'))
      return [`${path}.* number`]
    return entries.flatMap(([key, item]) => leavesOf(item, path === '' ? key : `${path}.${key}`, isEvent))
  }
  return [`${path} ${leafText(value, path, isEvent)}`.trimStart()]
}

function leafText(value: unknown, path: string, isEvent: boolean): string {
  const key = path.slice(path.lastIndexOf('.') + 1).replaceAll('[]', '')
  if (typeof value === 'string') return TELLING_TEXTS.has(key) ? `= ${JSON.stringify(maskText(value))}` : 'string'
  if (typeof value === 'number') {
    const isTelling = TELLING_NUMBERS.has(key) && !(isEvent && COUNTING_NUMBERS.has(key))
    return isTelling ? `= ${value}` : 'number'
  }
  return `= ${String(value)}`
}

/** Ids, versions of builds and counts that depend on the tokenizer are no part of the shape. */
export function maskText(text: string): string {
  return text
    .replaceAll(/\d+(\.\d+)?(e[+-]?\d+)?/g, '#')
    .replaceAll(/'\/[^' ]*|(?<= )\/[^ '"`]+/g, (path) => (path.startsWith("'") ? "'<path>" : '<path>'))
}
