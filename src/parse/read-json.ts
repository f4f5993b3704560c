import { type Refusal, refuse } from '#core/refusal.ts'
import type { Body, PromptSpan, Span, StreamOptions } from '#core/request.ts'
import { type ByteList, byteRange } from '#struct/byte-list.ts'
import { type JsonError, type JsonMember, ObjectScanner } from '#wire/json/object-scanner.ts'
import { type BodyFacts, bytesPerToken, noStreamOptions } from './body-facts.ts'
import { MediaFinder, type MediaKind, mediaHints } from './media-finder.ts'
import { mediaTokensOf } from './media-tokens.ts'

/** Members that carry what the engine's cache will be keyed by. */
const promptKeys: ReadonlySet<string> = new Set([
  'messages',
  'prompt',
  'input',
  'instructions',
  'system',
  'tools',
  'inputs',
  'text',
  'image_data',
  'audio_data',
  'video_data',
])

/** Those that may have parts that are no text. */
const partKeys: ReadonlySet<string> = new Set(['messages', 'input', 'system'])

/** Those that are nothing but such parts (SGLang). */
const mediaKeys: ReadonlyMap<string, MediaKind> = new Map([
  ['image_data', 'image'],
  ['audio_data', 'audio'],
  ['video_data', 'video'],
])

/** What keeps cached prompts apart; SGLang's keys are one behind the other, as here. */
const saltKeys: ReadonlySet<string> = new Set(['cache_salt', 'extra_key'])

const tokenKeys: ReadonlySet<string> = new Set(['max_tokens', 'max_completion_tokens', 'max_output_tokens'])

/** Members that tell who continues which conversation; one with a greater rank goes before the others. */
const sessionRanks: ReadonlyMap<string, number> = new Map([
  ['metadata', 1],
  ['user', 2],
  ['prompt_cache_key', 3],
])

const wanted: ReadonlySet<string> = new Set([
  ...promptKeys,
  ...tokenKeys,
  ...sessionRanks.keys(),
  ...saltKeys,
  'model',
  'stream',
  'stream_options',
])
const maxSmallBytes = 4096
const maxSessionLength = 256

interface Draft {
  model: string
  modelSpans: Span[]
  stream: boolean
  streamOptions: StreamOptions
  promptSpans: PromptSpan[]
  promptBytes: number
  maxTokens: number | undefined
  session: string | undefined
  cacheSalt: string | undefined
  extraKey: string | undefined
  /** Rank of the member that `session` is from. */
  sessionRank: number
  error: Refusal | undefined
}

/** Reads JSON bodies. Reuses one scanner for all requests of a thread. */
export class JsonReader {
  readonly #scanner = new ObjectScanner(wanted, { keys: mediaHints, within: partKeys })
  readonly #options = new ObjectScanner(new Set(['include_usage']))
  readonly #metadata = new ObjectScanner(new Set(['user_id']))
  readonly #media = new MediaFinder()

  /** What the body says; of repeated keys the last one counts, as with every common parser. */
  read(body: Body): BodyFacts | Refusal {
    const scanner = this.#scanner
    scanner.reset()
    for (const slice of body.slices) scanner.push(slice, 0, slice.length)
    scanner.finish()
    if (scanner.error !== undefined) return malformed(body, scanner.error)
    const draft: Draft = {
      model: '',
      modelSpans: [],
      stream: false,
      streamOptions: noStreamOptions,
      promptSpans: [],
      promptBytes: 0,
      maxTokens: undefined,
      session: undefined,
      cacheSalt: undefined,
      extraKey: undefined,
      sessionRank: 0,
      error: undefined,
    }
    for (const member of scanner.members) this.#note(draft, member, body.slices)
    if (draft.extraKey !== undefined) draft.cacheSalt = `${draft.cacheSalt ?? ''}${draft.extraKey}`
    return draft.error ?? draft
  }

  #note(draft: Draft, member: JsonMember, body: ByteList): void {
    const { key, start, end } = member
    if (promptKeys.has(key)) return this.#notePrompt(draft, member, body)
    if (saltKeys.has(key)) return noteSalt(draft, key, byteRange(body, start, end))
    if (end - start > maxSmallBytes && key !== 'stream_options') {
      if (key === 'model') draft.error = notAString(key)
      return
    }
    const text = byteRange(body, start, end)
    if (key === 'model') this.#noteModel(draft, text, { start, end })
    else if (key === 'stream') draft.stream = text[0] === letterT
    else if (key === 'stream_options') draft.streamOptions = this.#streamOptions(text, start, end)
    else if (tokenKeys.has(key)) draft.maxTokens = numberOf(text) ?? draft.maxTokens
    else this.#noteSession(draft, key, text)
  }

  #notePrompt(draft: Draft, { key, start, end }: JsonMember, body: ByteList): void {
    const kind = mediaKeys.get(key)
    let at = start
    if (kind !== undefined || (this.#scanner.hinted && partKeys.has(key))) {
      const parts = this.#media.find(body, { start, end }, kind)
      const tokens = mediaTokensOf(parts, body)
      for (const [i, part] of parts.entries()) {
        addText(draft, at, part.start)
        const countsAs = bytesPerToken * (tokens[i] as number)
        draft.promptSpans.push({ start: part.start, end: part.end, countsAs })
        draft.promptBytes += countsAs
        at = part.end
      }
    }
    addText(draft, at, end)
  }

  #noteSession(draft: Draft, key: string, text: Buffer): void {
    const rank = sessionRanks.get(key) ?? 0
    const session = rank < draft.sessionRank ? undefined : sessionOf(key === 'metadata' ? this.#userId(text) : text)
    if (session === undefined) return
    draft.session = session
    draft.sessionRank = rank
  }

  /** The `user_id` of Anthropic's metadata; empty when there is none. */
  #userId(text: Buffer): Buffer {
    this.#metadata.reset()
    this.#metadata.push(text, 0, text.length)
    const member = this.#metadata.members.at(-1)
    return member === undefined ? text.subarray(0, 0) : text.subarray(member.start, member.end)
  }

  #noteModel(draft: Draft, text: Buffer, span: Span): void {
    const name = stringOf(text)
    if (name === undefined) draft.error = notAString('model')
    else {
      draft.model = name.trim() === '' ? '' : name
      draft.modelSpans.push(span)
    }
  }

  #streamOptions(text: Buffer, start: number, end: number): StreamOptions {
    this.#options.reset()
    this.#options.push(text, 0, text.length)
    const span = { start, end }
    const member = this.#options.members.at(-1)
    if (!this.#options.complete) return { span, includeUsageSpan: undefined, includeUsage: text[0] !== letterN }
    if (member === undefined) return { span, includeUsageSpan: undefined, includeUsage: false }
    const first = text[member.start]
    const includeUsageSpan = { start: start + member.start, end: start + member.end }
    return { span, includeUsageSpan, includeUsage: first !== letterF && first !== letterN }
  }
}

function addText(draft: Draft, start: number, end: number): void {
  draft.promptSpans.push({ start, end, countsAs: undefined })
  draft.promptBytes += end - start
}

/** A salt is a text. What is none keeps apart by how it is written, unless it is null, false or empty. */
function noteSalt(draft: Draft, key: string, literal: Buffer): void {
  const isNone = literal[0] === letterN || literal[0] === letterF
  const text = isNone ? '' : (stringOf(literal) ?? literal.toString('latin1'))
  const salt = text === '' ? undefined : text
  if (key === 'cache_salt') draft.cacheSalt = salt
  else draft.extraKey = salt
}

const letterF = 0x66
const letterN = 0x6e
const letterT = 0x74

/** Value of a JSON string literal, or undefined. The common case, no escapes, is not parsed again. */
function stringOf(text: Buffer): string | undefined {
  if (text[0] !== 0x22) return undefined
  if (!text.includes(0x5c)) return text.toString('utf8', 1, text.length - 1)
  try {
    const value: unknown = JSON.parse(text.toString('utf8'))
    return typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}

function numberOf(text: Buffer): number | undefined {
  const value = Number(text.toString('latin1'))
  return Number.isFinite(value) && value >= 0 ? value : undefined
}

function sessionOf(text: Buffer): string | undefined {
  const value = stringOf(text)
  return value === undefined || value === '' ? undefined : value.slice(0, maxSessionLength)
}

function notAString(param: string): Refusal {
  return refuse('missing-model', 'The model must be a string. GET /v1/models lists the names.', { param })
}

function malformed(body: Body, error: JsonError): Refusal {
  if (body.bytes === 0) return refuse('malformed-json', 'The body is empty; it must be a JSON object.')
  const { line, column } = positionOf(body.slices, error.offset)
  const where = `at byte ${error.offset} (line ${line}, column ${column})`
  return refuse('malformed-json', `The body is not valid JSON: ${error.detail}, ${where}.`)
}

/** Line and column, from 1, of the byte at `offset`; columns count bytes. */
function positionOf(body: ByteList, offset: number): { line: number; column: number } {
  let line = 1
  let lineStart = 0
  let before = 0
  for (const slice of body) {
    const end = Math.min(slice.length, offset - before)
    for (let at = 0; at < end; at++) {
      if (slice[at] !== 0x0a) continue
      line++
      lineStart = before + at + 1
    }
    before += slice.length
    if (before >= offset) break
  }
  return { line, column: offset - lineStart + 1 }
}
