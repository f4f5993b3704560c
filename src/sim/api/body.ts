import type { Call } from '#sim/call.ts'

/** A parsed JSON body. */
export type JsonBody = Readonly<Record<string, unknown>>

/** What a field must be, and whether it must be there. */
export interface FieldRule {
  readonly type: 'float' | 'int' | 'bool' | 'string' | 'list' | 'any'
  readonly isRequired?: boolean
}

export type FieldRules = Readonly<Record<string, FieldRule>>

/** One field that is not what it must be, in the words of pydantic. */
export interface FieldProblem {
  readonly type: string
  readonly field: string
  readonly message: string
  /** Its value as an error shows it. */
  readonly input: string
}

/** Why a body was not taken. */
export type BodyProblem =
  | { readonly kind: 'media-type' }
  | { readonly kind: 'empty' }
  | { readonly kind: 'json'; readonly position: number; readonly reason: string }
  | { readonly kind: 'fields'; readonly fields: readonly FieldProblem[] }

/** A body, or why there is none. */
export type BodyResult = { readonly body: JsonBody } | { readonly problem: BodyProblem }

/** Parses a JSON body and checks its fields; fields without a rule are let through. */
export function readJsonBody(call: Call, rules: FieldRules): BodyResult {
  const result = parseJsonBody(call)
  if ('problem' in result) return result
  const problem = checkFields(result.body, rules)
  return problem === undefined ? result : { problem }
}

/** Parses a JSON body, which has to be an object. */
export function parseJsonBody(call: Call): BodyResult {
  const mediaType = call.headers.get('content-type')
  if (mediaType !== undefined && !/json/i.test(mediaType)) return { problem: { kind: 'media-type' } }
  if (call.body.length === 0) return { problem: { kind: 'empty' } }
  let value: unknown
  try {
    value = JSON.parse(call.body.toString())
  } catch (error) {
    return { problem: jsonProblem(error, call.body.length) }
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const message = 'Input should be a valid dictionary or object to extract fields from'
    const problem = { type: 'model_attributes_type', field: '', message, input: pythonText(value) }
    return { problem: { kind: 'fields', fields: [problem] } }
  }
  return { body: value as JsonBody }
}

/** What is wrong with the fields of a body; undefined when nothing is. */
export function checkFields(body: JsonBody, rules: FieldRules): BodyProblem | undefined {
  const fields = Object.entries(rules).flatMap(([name, rule]) => checkField(body, name, rule) ?? [])
  return fields.length > 0 ? { kind: 'fields', fields } : undefined
}

/** A field that has to be there and is not. */
export function missingField(body: JsonBody, field: string): FieldProblem {
  return { type: 'missing', field, message: 'Field required', input: pythonText(body) }
}

/** Python's words for what V8's parser found, by a word of V8's message. */
const JSON_REASONS: readonly (readonly [RegExp, string])[] = [
  [/property name/, 'Expecting property name enclosed in double quotes'],
  [/',' or|after array element|after property value/, "Expecting ',' delimiter"],
  [/':'/, "Expecting ':' delimiter"],
  [/Unterminated string/, 'Unterminated string starting at'],
  [/control character/, 'Invalid control character at'],
  [/escaped character|Unicode escape/, 'Invalid \\escape'],
  [/non-whitespace/, 'Extra data'],
]

function jsonProblem(error: unknown, bodyBytes: number): BodyProblem {
  const text = error instanceof Error ? error.message : ''
  const position = /position (\d+)/.exec(text)?.[1]
  const reason = JSON_REASONS.find(([pattern]) => pattern.test(text))?.[1] ?? 'Expecting value'
  const fallback = /end of JSON/.test(text) ? bodyBytes : 0
  return { kind: 'json', position: position === undefined ? fallback : Number(position), reason }
}

function checkField(body: JsonBody, field: string, rule: FieldRule): FieldProblem | undefined {
  const value = body[field]
  if (value === undefined) {
    if (rule.isRequired !== true) return undefined
    return missingField(body, field)
  }
  if (value === null && rule.isRequired !== true) return undefined
  const failure = CHECKS[rule.type](value)
  return failure && { type: failure[0], field, message: failure[1], input: pythonText(value) }
}

type Check = (value: unknown) => readonly [type: string, message: string] | undefined

/** Pydantic's lax mode: strings and booleans that look right are taken. */
const CHECKS: Readonly<Record<FieldRule['type'], Check>> = {
  any: () => undefined,
  float: (value) => {
    if (typeof value === 'number' || typeof value === 'boolean' || isNumeric(value)) return undefined
    if (typeof value !== 'string') return ['float_type', 'Input should be a valid number']
    return ['float_parsing', 'Input should be a valid number, unable to parse string as a number']
  },
  int: (value) => {
    if (typeof value === 'boolean' || Number.isInteger(value)) return undefined
    if (typeof value === 'number')
      return ['int_from_float', 'Input should be a valid integer, got a number with a fractional part']
    if (typeof value !== 'string') return ['int_type', 'Input should be a valid integer']
    if (isNumeric(value)) return undefined
    return ['int_parsing', 'Input should be a valid integer, unable to parse string as an integer']
  },
  bool: (value) => {
    if (typeof value === 'boolean' || value === 0 || value === 1 || value === 'true' || value === 'false')
      return undefined
    return ['bool_parsing', 'Input should be a valid boolean, unable to interpret input']
  },
  string: (value) => (typeof value === 'string' ? undefined : ['string_type', 'Input should be a valid string']),
  list: (value) => (Array.isArray(value) ? undefined : ['list_type', 'Input should be a valid list']),
}

function isNumeric(value: unknown): boolean {
  return typeof value === 'string' && value.trim() !== '' && Number.isFinite(Number(value))
}

function pythonText(value: unknown): string {
  if (value === null) return "'None'"
  if (typeof value === 'boolean') return value ? "'True'" : "'False'"
  if (Array.isArray(value)) return `'<list of ${value.length} items>'`
  if (typeof value === 'object') return `'<dict of ${Object.keys(value).length} items>'`
  if (typeof value === 'string') return `'${value.replace(/'/g, "\\'")}'`
  return typeof value === 'number' ? `'${value}'` : ''
}
