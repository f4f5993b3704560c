import type { Span } from '#core/request.ts'
import { walkedWords } from '#wire/json/object-scanner.ts'

/** What a part of a prompt is that is not text. */
export type MediaKind = 'image' | 'audio' | 'video' | 'file'

/** The payload of such a part: the text of a URL, of base64 or of a file's id, without quotes. */
export interface MediaPart extends Span {
  readonly kind: MediaKind
}

/** Keys below the top level that stand before every part; a body without them has none. */
export const mediaHints: ReadonlySet<string> = new Set([
  'image_url',
  'image_embeds',
  'video_url',
  'audio_url',
  'input_audio',
  'source',
  'file_data',
  'file_url',
  'file_id',
])

/** More are no honest request; they count as text. */
const maxParts = 1024
const maxWordLength = 16

/** What a container is to the search. */
const role = {
  plain: 0,
  /** The value of image_url and the like: its `url` or `data` is the payload. */
  holder: 1,
  /** Anthropic's: the payload, unless its type says that it is text. */
  source: 2,
  /** Any string in it is a payload. */
  payload: 3,
  /** Arguments of tools: nothing in it is a part. */
  foreign: 4,
}

/** Of containers by the key that they stand under in a plain one. */
const roleOfKey: ReadonlyMap<string, number> = new Map([
  ['image_url', role.holder],
  ['video_url', role.holder],
  ['audio_url', role.holder],
  ['input_audio', role.holder],
  ['file', role.holder],
  ['source', role.source],
  ['image_embeds', role.payload],
  ['input', role.foreign],
  ['arguments', role.foreign],
  ['parameters', role.foreign],
  ['input_schema', role.foreign],
])

const kindOfKey: ReadonlyMap<string, MediaKind> = new Map([
  ['image_url', 'image'],
  ['image_embeds', 'image'],
  ['video_url', 'video'],
  ['audio_url', 'audio'],
  ['input_audio', 'audio'],
  ['file', 'file'],
  ['file_data', 'file'],
  ['file_url', 'file'],
])

/** Strings that are payloads where they stand in a part itself. */
const direct: ReadonlySet<string> = new Set([
  'image_url',
  'image_embeds',
  'video_url',
  'audio_url',
  'file_data',
  'file_url',
  'file_id',
])

/** Strings that are payloads in a holder or a source. */
const held: ReadonlySet<string> = new Set(['url', 'data', 'file_data', 'file_url', 'file_id'])

/** By the `type` of a part. */
const kindOfType: ReadonlyMap<string, MediaKind> = new Map([
  ['image', 'image'],
  ['input_image', 'image'],
  ['document', 'file'],
  ['file', 'file'],
  ['input_file', 'file'],
])

interface Level {
  isObject: boolean
  role: number
  /** What the payloads in it are; undefined: its `type` or that of what it stands in says so. */
  kind: MediaKind | undefined
  /** The key that was read last. */
  key: string
  /** Number of parts before it. */
  partsBefore: number
  /** Source: its data is text. */
  isText: boolean
}

interface Draft {
  start: number
  end: number
  kind: MediaKind | undefined
}

/** Escaped quotes closer together than this are walked over by words, for a while. */
const denseBytes = 80
const denseWalkBytes = 2048

const quote = 0x22
const backslash = 0x5c

/**
 * Finds what is not text in a prompt: pictures, sound, videos and files in the messages of OpenAI's chat and Responses, of
 * vLLM and of Anthropic's Messages, whatever the order of keys. Nothing is decoded: payloads are skipped from quote to quote.
 * The JSON must have been checked. One per thread.
 */
export class MediaFinder {
  readonly #levels: Level[] = []
  readonly #word = Buffer.alloc(maxWordLength + 1)
  #depth = 0
  #isKey = false
  #isString = false
  #isEscaped = false
  #stringStart = 0
  #wordLength = 0
  #parts: Draft[] = []

  /**
   * The parts in the value at `span`, in order. `all` says that every string in it is a payload, and of which kind: so it
   * is with SGLang's `image_data`.
   */
  find(slices: readonly Buffer[], { start, end }: Span, all?: MediaKind): readonly MediaPart[] {
    this.#depth = 0
    this.#parts = []
    this.#push(false, all === undefined ? role.plain : role.payload, all)
    this.#isKey = false
    this.#isString = false
    this.#isEscaped = false
    let base = 0
    for (const slice of slices) {
      const from = Math.max(start - base, 0)
      const to = Math.min(end - base, slice.length)
      if (from < to) this.#scan(slice, from, to, base)
      base += slice.length
      if (base >= end) break
    }
    return this.#parts.map((part) => ({ start: part.start, end: part.end, kind: part.kind ?? 'image' }))
  }

  #scan(slice: Buffer, from: number, to: number, base: number): void {
    let pos = from
    while (pos < to) {
      if (this.#isString) {
        pos = this.#string(slice, pos, to, base)
        continue
      }
      const byte = slice[pos++] as number
      if (byte === quote) {
        this.#isString = true
        this.#stringStart = base + pos
        this.#wordLength = 0
      } else if (byte === 0x3a) this.#isKey = false
      else if (byte === 0x2c) this.#isKey = this.#level.isObject
      else if (byte === 0x7b || byte === 0x5b) this.#open(byte === 0x7b)
      else if (byte === 0x7d || byte === 0x5d) this.#close()
    }
  }

  /** Inside a string: returns where it goes on, behind the closing quote or at `to`. */
  #string(slice: Buffer, from: number, to: number, base: number): number {
    let at = this.#isEscaped ? from + 1 : from
    this.#isEscaped = false
    while (at < to) {
      const found = slice.indexOf(quote, at)
      const stop = found < 0 || found >= to ? to : found
      const isEscaped = isEscapedAt(slice, at, stop)
      if (stop === to) {
        at = isEscaped ? to + 1 : to
      } else if (isEscaped) {
        const isDense = stop - at < denseBytes
        at = isDense ? walkedWords(slice, stop + 1, Math.min(to, stop + denseWalkBytes)) : stop + 1
      } else {
        this.#addWord(slice, from, stop)
        this.#isString = false
        this.#ended(base + stop)
        return stop + 1
      }
    }
    this.#addWord(slice, from, to)
    this.#isEscaped = at > to
    return to
  }

  #addWord(slice: Buffer, from: number, to: number): void {
    const bytes = Math.min(to - from, maxWordLength + 1 - this.#wordLength)
    if (bytes > 0) slice.copy(this.#word, this.#wordLength, from, from + bytes)
    this.#wordLength += Math.max(0, bytes)
  }

  /** The string just read, when it is short. */
  #text(): string {
    return this.#wordLength > maxWordLength ? '' : this.#word.toString('latin1', 0, this.#wordLength)
  }

  /** A string has ended before `end`. */
  #ended(end: number): void {
    const level = this.#level
    if (this.#isKey) level.key = this.#text()
    else if (level.role !== role.foreign) this.#value(level, end)
  }

  #value(level: Level, end: number): void {
    const { key } = level
    if (level.role === role.payload) return this.#add(end, level.kind)
    if (level.role === role.plain) {
      if (key === 'type') level.kind ??= kindOfType.get(this.#text())
      else if (level.isObject && direct.has(key)) this.#add(end, kindOfKey.get(key))
      return
    }
    if (held.has(key)) this.#add(end, level.kind)
    else if (level.role === role.source && key === 'type') level.isText = this.#text() === 'text'
  }

  #add(end: number, kind: MediaKind | undefined): void {
    if (this.#parts.length < maxParts && end > this.#stringStart) {
      this.#parts.push({ start: this.#stringStart, end, kind })
    }
  }

  #open(isObject: boolean): void {
    const { role: outer, key, isObject: isKeyed, kind } = this.#level
    const isPlain = outer === role.plain
    if (!isPlain) this.#push(isObject, outer === role.foreign || outer === role.payload ? outer : role.plain, kind)
    else if (isKeyed) this.#push(isObject, roleOfKey.get(key) ?? role.plain, kindOfKey.get(key))
    else this.#push(isObject, role.plain, undefined)
    this.#isKey = isObject
  }

  #push(isObject: boolean, ofRole: number, kind: MediaKind | undefined): void {
    this.#levels[this.#depth] ??= { isObject, role: 0, kind, key: '', partsBefore: 0, isText: false }
    const level = this.#levels[this.#depth++] as Level
    level.isObject = isObject
    level.role = ofRole
    level.kind = kind
    level.key = ''
    level.partsBefore = this.#parts.length
    level.isText = false
  }

  #close(): void {
    const { partsBefore, isText, kind } = this.#level
    if (this.#depth > 1) this.#depth--
    this.#isKey = false
    if (isText) this.#parts.length = partsBefore
    for (let i = partsBefore; i < this.#parts.length; i++) (this.#parts[i] as Draft).kind ??= kind
  }

  get #level(): Level {
    return this.#levels[this.#depth - 1] as Level
  }
}

/** Whether the byte at `stop` is escaped by the backslashes before it; `from` itself is not escaped. */
function isEscapedAt(slice: Buffer, from: number, stop: number): boolean {
  let pos = stop
  while (pos > from && slice[pos - 1] === backslash) pos--
  return ((stop - pos) & 1) === 1
}
