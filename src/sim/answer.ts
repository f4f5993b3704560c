import { hashText, hashTokens, mix32 } from './tokens.ts'

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

const WORDS =
  'the a gateway model server token prompt cache block queue route answer picks waits runs sends holds reads finds keeps near far idle busy warm cold first last each every one two with from into over after before and or then while because so that which'.split(
    ' ',
  )

/** Word salad: the same seed, prompt and choice give the same words. Exactly as long as asked for. */
export function textAnswer(prompt: Uint32Array, seed: number, limits: AnswerLimits): Answer {
  const start = hashTokens(prompt, seed)
  const tokens = Math.min(limits.maxTokens ?? limits.defaultTokens, limits.room)
  const isLimited = limits.maxTokens !== undefined || limits.room <= limits.defaultTokens
  return {
    tokens,
    finish: isLimited ? 'length' : 'stop',
    tool: undefined,
    piece: (index) => `${index === 0 ? '' : ' '}${WORDS[mix32(start, index) % WORDS.length] ?? ''}`,
  }
}

/** An answer that is the given text, whole, whatever limit was asked for. */
export function fixedAnswer(text: string, limits: AnswerLimits): Answer {
  const tokens = Math.max(1, Math.min(ECHO_TOKENS, limits.room, text.length))
  const size = Math.ceil(text.length / tokens)
  return {
    tokens: Math.max(1, Math.ceil(text.length / size)),
    finish: 'stop',
    tool: undefined,
    piece: (index) => text.slice(index * size, (index + 1) * size),
  }
}

/** An answer that calls a tool. Cut off by the limits like any other. */
export function toolAnswer(tool: ToolCall, limits: AnswerLimits): Answer {
  const letters = Array.from(tool.args)
  const size = 4
  const whole = 1 + Math.ceil(letters.length / size)
  const tokens = Math.min(whole, limits.maxTokens ?? whole, limits.room)
  return {
    tokens,
    finish: tokens < whole ? 'length' : 'tool_calls',
    tool,
    piece: (index) => (index === 0 ? '' : letters.slice((index - 1) * size, index * size).join('')),
  }
}

/** The whole text of an answer. */
export function answerText(answer: Answer): string {
  let text = ''
  for (let i = 0; i < answer.tokens; i++) text += answer.piece(i)
  return text
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
