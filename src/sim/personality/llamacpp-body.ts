import type { JsonBody } from '#sim/api/body.ts'
import type { Call } from '#sim/call.ts'

/** A body that was read, or what llama.cpp says of one that cannot be. */
export type LlamacppBody = { readonly body: JsonBody } | { readonly status: 400 | 500; readonly message: string }

/** What a field must be. */
type FieldCheck = 'number' | 'boolean' | { readonly least: number; readonly most: number }

/** Fields that are looked at on every generation, in the order in which they are. `n` is at most the number of slots. */
function checksOf(slots: number): readonly (readonly [string, FieldCheck])[] {
  return [
    ['stream', 'boolean'],
    ['temperature', 'number'],
    ['top_p', 'number'],
    ['n', { least: 1, most: slots }],
    ['max_completion_tokens', { least: -1, most: 2_147_483_647 }],
    ['max_tokens', { least: -1, most: 2_147_483_647 }],
    ['n_predict', { least: -1, most: 2_147_483_647 }],
  ]
}

/** Reads a JSON body whatever its content type says. A value that is no object has no fields. */
export function readLlamacppBody(call: Call): LlamacppBody {
  const text = call.body.toString()
  try {
    const value: unknown = JSON.parse(text)
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    return { body: isObject ? (value as JsonBody) : {} }
  } catch (error) {
    return { status: 400, message: parseError(text, error) }
  }
}

/** The first field that is not what it must be; undefined when all are. */
export function fieldProblem(body: JsonBody, slots: number): string | undefined {
  for (const [field, check] of checksOf(slots)) {
    const value = body[field]
    if (value === undefined || value === null) continue
    const type = typeof check === 'string' ? check : 'number'
    if (typeof value !== type) {
      return `Field '${field}': [json.exception.type_error.302] type must be ${type}, but is ${typeName(value)}`
    }
    if (typeof check !== 'string' && typeof value === 'number' && (value < check.least || value > check.most)) {
      return `Field '${field}': Value must be between ${check.least} <= value <= ${check.most}, but got ${value}`
    }
  }
  return undefined
}

function typeName(value: unknown): string {
  return Array.isArray(value) ? 'array' : typeof value
}

/** What the JSON library of llama.cpp says where V8 found something else than it expected. */
function parseError(text: string, error: unknown): string {
  const start = '[json.exception.parse_error.101] parse error at line 1, column '
  if (text === '') {
    return `${start}1: attempting to parse an empty input; check that your input string or stream contains the expected JSON`
  }
  const message = error instanceof Error ? error.message : ''
  const found = /position (\d+)/.exec(message)?.[1]
  const isEnd = /end of JSON/.test(message) || Number(found) >= text.length
  const position = isEnd || found === undefined ? (isEnd ? text.length : 0) : Number(found)
  const isKey = /property name/.test(message)
  const read = lastRead(text, position)
  const what = isEnd
    ? 'unexpected end of input'
    : `invalid literal; last read: '${isKey ? text.slice(0, position) : ''}${read}'`
  const column = isEnd ? text.length + 1 : position + read.length
  if (isKey) return `${start}${column}: syntax error while parsing object key - ${what}; expected string literal`
  return `${start}${column}: syntax error while parsing value - ${what}${isEnd ? "; expected '[', '{', or a literal" : ''}`
}

const LITERALS = ['null', 'true', 'false']

/** The part of a text that was read as a literal until it was none. */
function lastRead(text: string, position: number): string {
  for (let length = 1; position + length <= text.length; length++) {
    const read = text.slice(position, position + length)
    if (!LITERALS.some((literal) => literal.startsWith(read))) return read
  }
  return text.slice(position)
}
