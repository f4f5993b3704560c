import { hashText, hashTokens, mix32, tokenize } from './tokens.ts'

/** Why an answer ended. */
export type FinishReason = 'stop' | 'length' | 'tool_calls'

/** A call of a tool, as a model would make it. */
export interface ToolCall {
  readonly name: string
  /** JSON text of the arguments. */
  readonly args: string
}

/** The answer to one prompt, made before it is paced out: one piece of text for each output token. */
export interface Answer {
  readonly tokens: number
  readonly finish: FinishReason
  /** For a tool call the pieces are: nothing, then the text of the arguments. */
  readonly tool: ToolCall | undefined
  piece(index: number): string
  /** The token id of a piece. */
  id(index: number): number
}

/** How long an answer may be. */
export interface AnswerLimits {
  /** Output tokens asked for; unset means the answer ends by itself after `defaultTokens`. */
  readonly maxTokens: number | undefined
  readonly defaultTokens: number
  /** Tokens that fit after the prompt; at least 1. */
  readonly room: number
}

/** Most tokens of an answer that echoes its request, so that a large body does not take long to come back. */
const ECHO_TOKENS = 64

/** Words that begin an answer, and those that follow with a blank before them: four bytes each, so one token each. */
const FIRST_WORDS = 'This That Here Then When Once Each Both Some Most Many Such'.split(' ')
const MORE_WORDS =
  'the one two ten all any few may can has had was are not yet but and for out off new old big far low hot raw key map log run set get put ask say see use try let end row bit way day set fit mix tag'
    .split(' ')
    .map((word) => ` ${word}`)
const FIRST_IDS = FIRST_WORDS.map(tokenIdOf)
const MORE_IDS = MORE_WORDS.map(tokenIdOf)

/**
 * The id of a piece of an answer: of at most four bytes those bytes, as `tokenize` reads them; of more a hash of them; of none 0.
 */
function tokenIdOf(piece: string): number {
  const tokens = tokenize(piece)
  return tokens.length > 1 ? hashTokens(tokens, 0) : (tokens[0] ?? 0)
}

/**
 * Word salad: the same seed, prompt and choice give the same words. Exactly as long as asked for; every piece is four bytes, so
 * that the text of the answer is made of the answer's tokens again when it comes back in a later prompt.
 */
export function textAnswer(prompt: Uint32Array, seed: number, limits: AnswerLimits): Answer {
  const start = hashTokens(prompt, seed)
  const tokens = Math.min(limits.maxTokens ?? limits.defaultTokens, limits.room)
  const isLimited = limits.maxTokens !== undefined || limits.room <= limits.defaultTokens
  return {
    tokens,
    finish: isLimited ? 'length' : 'stop',
    tool: undefined,
    piece: (index) => chosen(index === 0 ? FIRST_WORDS : MORE_WORDS, mix32(start, index)),
    id: (index) => chosen(index === 0 ? FIRST_IDS : MORE_IDS, mix32(start, index)),
  }
}

function chosen<T>(from: readonly T[], draw: number): T {
  return from[draw % from.length]!
}

/** An answer whose pieces are of any length. */
function withIds(answer: Omit<Answer, 'id'>): Answer {
  return { ...answer, id: (index) => tokenIdOf(answer.piece(index)) }
}

/** The ids of all tokens of an answer. */
export function answerTokenIds(answer: Answer): Uint32Array {
  const ids = new Uint32Array(answer.tokens)
  for (let i = 0; i < ids.length; i++) ids[i] = answer.id(i)
  return ids
}

/** The text of some tokens of an answer. */
export function answerPieces(answer: Answer, first: number, count: number): string {
  let text = answer.piece(first)
  for (let i = first + 1; i < first + count; i++) text += answer.piece(i)
  return text
}

/** An answer that is the given text, whole, whatever limit was asked for. */
export function fixedAnswer(text: string, limits: AnswerLimits): Answer {
  const tokens = Math.max(1, Math.min(ECHO_TOKENS, limits.room, text.length))
  const size = Math.ceil(text.length / tokens)
  return withIds({
    tokens: Math.max(1, Math.ceil(text.length / size)),
    finish: 'stop',
    tool: undefined,
    piece: (index) => text.slice(index * size, (index + 1) * size),
  })
}

/** An answer that calls a tool. Cut off by the limits like any other. */
export function toolAnswer(tool: ToolCall, limits: AnswerLimits): Answer {
  const letters = Array.from(tool.args)
  const size = 4
  const whole = 1 + Math.ceil(letters.length / size)
  const tokens = Math.min(whole, limits.maxTokens ?? whole, limits.room)
  return withIds({
    tokens,
    finish: tokens < whole ? 'length' : 'tool_calls',
    tool,
    piece: (index) => (index === 0 ? '' : letters.slice((index - 1) * size, index * size).join('')),
  })
}

/** The whole text of an answer. */
export function answerText(answer: Answer): string {
  return answer.tokens === 0 ? '' : answerPieces(answer, 0, answer.tokens)
}

/** Deepest schema followed; what lies deeper becomes a string. */
const MAX_SCHEMA_DEPTH = 8

/** A value that a JSON schema allows, as far as the common keywords go; strings are the name of their property. */
export function sampleFromSchema(schema: unknown, name = 'value', depth = 0): unknown {
  if (typeof schema !== 'object' || schema === null || depth > MAX_SCHEMA_DEPTH) return name
  const { type, properties, items, enum: choices } = schema as Readonly<Record<string, unknown>>
  if (Array.isArray(choices) && choices.length > 0) return choices[0]
  const kind: unknown = Array.isArray(type) ? type[0] : type
  if (kind === 'array') return [sampleFromSchema(items, name, depth + 1)]
  if (kind === 'object' || typeof properties === 'object') return sampleObject(properties, depth)
  return SIMPLE_SAMPLES.has(kind) ? SIMPLE_SAMPLES.get(kind) : name
}

const SIMPLE_SAMPLES: ReadonlyMap<unknown, unknown> = new Map<unknown, unknown>([
  ['integer', 1],
  ['number', 1],
  ['boolean', true],
  ['null', null],
])

function sampleObject(properties: unknown, depth: number): unknown {
  const entries = typeof properties === 'object' && properties !== null ? Object.entries(properties) : []
  return Object.fromEntries(entries.map(([key, value]) => [key, sampleFromSchema(value, key, depth + 1)]))
}

/** A unit vector that depends on a text only: the same text and seed give the same vector. */
export function embeddingOf(text: string, seed: number, dimensions: number): number[] {
  const start = hashText(text, seed)
  const raw = Array.from({ length: dimensions }, (_, i) => mix32(start, i) / 2147483648 - 1)
  const norm = Math.hypot(...raw) || 1
  return raw.map((value) => value / norm)
}

/** How alike two texts are, 0 to 1: from the angle between their vectors. */
export function similarity(a: string, b: string, seed: number): number {
  const left = embeddingOf(a, seed, 8)
  const right = embeddingOf(b, seed, 8)
  const cosine = left.reduce((sum, value, i) => sum + value * (right[i] ?? 0), 0)
  return Math.min(1, Math.max(0, (cosine + 1) / 2))
}
