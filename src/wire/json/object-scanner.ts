/** A member of the scanned object whose key was wanted. Offsets count from the first byte pushed; end is exclusive. */
export interface JsonMember {
  readonly key: string
  readonly start: number
  readonly end: number
}

/** Keys to look out for below the top level. */
export interface JsonHints {
  /** In ASCII, at most 32 characters each. */
  readonly keys: ReadonlySet<string>
  /** Keys of the top level, among the wanted ones, in whose values they count. */
  readonly within: ReadonlySet<string>
}

/** Where and why a text is not one JSON object. */
export interface JsonError {
  /** Offset of the byte at fault, from the first byte pushed. */
  readonly offset: number
  readonly detail: string
}

const expect = {
  value: 0,
  valueOrEnd: 1,
  keyOrEnd: 2,
  key: 3,
  colon: 4,
  commaOrEnd: 5,
  inString: 6,
  inNumber: 7,
  inLiteral: 8,
  end: 9,
}

const maxDepth = 256
const maxWantedLength = 32
/** Of a wanted key with every character as an escape. */
const maxKeyBytes = 6 * maxWantedLength
/** A few keys, each perhaps repeated: more are no honest request and would fill the memory. */
const maxMembers = 256
/** Strings up to here are walked byte by byte; beyond, the native search for the closing quote is cheaper. */
const walkBytes = 32
/** Escaped quotes closer together than this make walking, by words, cheaper again, for a while. */
const denseBytes = 80
const denseWalkBytes = 2048

const quote = 0x22
const backslash = 0x5c

/**
 * Scans one JSON object as its bytes arrive, in slices cut anywhere, and notes where the values of wanted top-level
 * keys are, in order, repeats included. Checks the structure (RFC 8259: brackets, commas, colons, literals, numbers),
 * so that what it accepts a parser reads the same way or refuses; it does not look inside strings beyond finding their
 * end (bad escapes and control bytes are the engine's to refuse), which is what makes a long prompt cheap
 * (bench/micro/json.ts).
 *
 * Reusable after `reset`. Nesting is bounded by 256 levels.
 */
export class ObjectScanner {
  readonly members: JsonMember[] = []
  error: JsonError | undefined = undefined
  /** Whether a key may have been one of the hints; never false when one was, written without escapes. */
  hinted = false
  readonly #wanted: ReadonlySet<string>
  /** The wanted keys by length: most keys have the length of none, or differ in their first byte. */
  readonly #wantedByLength: readonly (readonly string[])[]
  readonly #hints: JsonHints
  readonly #hintsByLength: readonly (readonly string[])[]
  /** By length: which first bytes (the last five bits of them) hints of that length have. */
  readonly #hintMasks = new Int32Array(maxWantedLength + 1)
  /** Per open level: 1 for an object, 0 for an array. */
  readonly #levels = new Uint8Array(maxDepth)
  #depth = 0
  #expect = expect.value
  #isKey = false
  #escaped = false
  #offset = 0
  #keyParts = ''
  #keyFrom = -1
  /** The wanted key whose value is being read, if it is one. */
  #key: string | undefined = undefined
  #valueStart = -1
  #number = 0
  #literal = ''
  #literalAt = 0

  /** `wanted` are keys in ASCII, at most 32 characters each. */
  constructor(wanted: ReadonlySet<string>, hints: JsonHints = noHints) {
    this.#wanted = wanted
    this.#wantedByLength = byLength(wanted)
    this.#hints = hints
    this.#hintsByLength = byLength(hints.keys)
    for (const key of hints.keys) this.#hintMasks[key.length]! |= 1 << (key.charCodeAt(0) & 31)
  }

  /** True once the object is complete. */
  get complete(): boolean {
    return this.#expect === expect.end && this.error === undefined
  }

  /** Makes the scanner ready for another object. */
  reset(): void {
    this.members.length = 0
    this.error = undefined
    this.hinted = false
    this.#depth = 0
    this.#expect = expect.value
    this.#escaped = false
    this.#offset = 0
    this.#valueStart = -1
  }

  /** Ends the input: an object that is not complete becomes an error. */
  finish(): void {
    if (this.error === undefined && this.#expect !== expect.end) this.#fail(this.#offset, 'the text ends too early')
  }

  /** Scans the next bytes, [start, end) of `input`. Does nothing after an error. */
  push(input: Buffer, start: number, end: number): void {
    const base = this.#offset - start
    let pos = start
    this.#keyFrom = this.#expect === expect.inString && this.#isKey && this.#depth === 1 ? start : -1
    while (pos < end && this.error === undefined) {
      switch (this.#expect) {
        case expect.inString:
          pos = this.#string(input, pos, end, base)
          break
        case expect.inNumber:
          pos = this.#numberBytes(input, pos, end, base)
          break
        case expect.inLiteral:
          pos = this.#literalBytes(input, pos, end, base)
          break
        default:
          if (this.#depth > 1) pos = this.#nested(input, pos, end, base)
          else this.#token(input[pos] as number, pos++, base)
      }
    }
    if (this.#keyFrom >= 0 && this.#expect === expect.inString)
      this.#addKey(input.toString('latin1', this.#keyFrom, end))
    this.#offset = base + end
  }

  #fail(offset: number, detail: string): void {
    this.error = { offset, detail }
  }

  /**
   * Between the strings of a value of the object, where nothing need be noted: the common tokens without detour, all
   * others by `#token`. Returns where it goes on: behind a token that this loop does not know, at the rest of a long
   * string, or at `end`.
   */
  #nested(input: Buffer, from: number, end: number, base: number): number {
    let pos = from
    let expected = this.#expect
    let isObject = this.#levels[this.#depth - 1] === 1
    const masks = this.#hintMasks
    while (pos < end) {
      const byte = input[pos++] as number
      if (byte === quote && expected <= expect.key) {
        this.#isKey = expected >= expect.keyOrEnd
        const start = pos
        const walkEnd = Math.min(end, pos + walkBytes)
        pos = walkedBytes(input, pos, walkEnd)
        if (pos >= walkEnd) {
          this.#expect = expect.inString
          return this.#longString(input, pos, end, base)
        }
        if (this.#isKey && (((masks[pos - start] as number) >>> ((input[start] as number) & 31)) & 1) === 1)
          this.#hintAt(input, start, pos)
        pos++
        expected = this.#isKey ? expect.colon : expect.commaOrEnd
      } else if (byte === 0x3a && expected === expect.colon) expected = expect.value
      else if (byte === 0x2c && expected === expect.commaOrEnd) expected = isObject ? expect.key : expect.value
      else if (!isBlank(byte)) {
        this.#expect = expected
        this.#token(byte, pos - 1, base)
        expected = this.#expect
        if (expected >= expect.inString || this.#depth === 1 || this.error !== undefined) return pos
        isObject = this.#levels[this.#depth - 1] === 1
      }
    }
    this.#expect = expected
    return pos
  }

  /** One structural byte, the first byte of a value, or white space. */
  #token(byte: number, pos: number, base: number): void {
    if (isBlank(byte)) return
    switch (this.#expect) {
      case expect.valueOrEnd:
        if (byte === 0x5d) return this.#close(0, pos, base)
        return this.#value(byte, pos, base)
      case expect.value:
        return this.#value(byte, pos, base)
      case expect.keyOrEnd:
        if (byte === 0x7d) return this.#close(1, pos, base)
        return this.#keyStart(byte, pos, base)
      case expect.key:
        return this.#keyStart(byte, pos, base)
      case expect.colon:
        if (byte !== 0x3a) return this.#fail(base + pos, 'a colon is missing after a key')
        this.#expect = expect.value
        return
      case expect.commaOrEnd:
        return this.#commaOrEnd(byte, pos, base)
      default:
        return this.#fail(base + pos, 'there is text after the object')
    }
  }

  #commaOrEnd(byte: number, pos: number, base: number): void {
    const isObject = this.#levels[this.#depth - 1] as number
    if (byte === 0x2c) this.#expect = isObject === 1 ? expect.key : expect.value
    else if (byte === (isObject === 1 ? 0x7d : 0x5d)) this.#close(isObject, pos, base)
    else this.#fail(base + pos, `a comma or ${isObject === 1 ? '}' : ']'} is missing`)
  }

  #keyStart(byte: number, pos: number, base: number): void {
    if (byte !== quote) return this.#fail(base + pos, 'a key in double quotes is missing')
    this.#expect = expect.inString
    this.#isKey = true
    if (this.#depth === 1) {
      this.#keyParts = ''
      this.#keyFrom = pos + 1
    }
  }

  #value(byte: number, pos: number, base: number): void {
    if (this.#depth === 0 && byte !== 0x7b) return this.#fail(base + pos, 'the text is not a JSON object')
    if (this.#depth === 1) this.#valueStart = base + pos
    if (byte === quote) {
      this.#expect = expect.inString
      this.#isKey = false
    } else if (byte === 0x7b || byte === 0x5b) this.#open(byte === 0x7b ? 1 : 0, pos, base)
    else if (byte === 0x2d || (byte >= 0x30 && byte <= 0x39)) {
      this.#expect = expect.inNumber
      this.#number = byte === 0x2d ? num.minus : byte === 0x30 ? num.zero : num.int
    } else {
      this.#literal = byte === 0x74 ? 'true' : byte === 0x66 ? 'false' : byte === 0x6e ? 'null' : ''
      if (this.#literal === '') return this.#fail(base + pos, 'a value is missing')
      this.#literalAt = 1
      this.#expect = expect.inLiteral
    }
  }

  #open(isObject: number, pos: number, base: number): void {
    if (this.#depth === maxDepth) return this.#fail(base + pos, `the nesting is deeper than ${maxDepth} levels`)
    this.#levels[this.#depth++] = isObject
    this.#expect = isObject === 1 ? expect.keyOrEnd : expect.valueOrEnd
  }

  #close(isObject: number, pos: number, base: number): void {
    if (this.#levels[this.#depth - 1] !== isObject)
      return this.#fail(base + pos, 'a bracket is closed by the wrong one')
    this.#depth--
    if (this.#depth === 0) this.#expect = expect.end
    else this.#valueEnd(base + pos + 1)
  }

  /** A value has ended before offset `end`. */
  #valueEnd(end: number): void {
    this.#expect = expect.commaOrEnd
    if (this.#depth !== 1 || this.#key === undefined) return
    if (this.members.length === maxMembers) return this.#fail(end, `a key is repeated more than ${maxMembers} times`)
    this.members.push({ key: this.#key, start: this.#valueStart, end })
  }

  /** Inside a string: returns the position after its closing quote, or `end`. */
  #string(input: Buffer, from: number, end: number, base: number): number {
    const pos = walkedBytes(input, this.#escaped ? from + 1 : from, Math.min(end, from + walkBytes))
    this.#escaped = false
    return this.#longString(input, pos, end, base)
  }

  /**
   * The same from `from`, which is not escaped: jumps from quote to quote with the native search, or walks by words
   * where escaped quotes are dense.
   */
  #longString(input: Buffer, from: number, end: number, base: number): number {
    let pos = from
    while (pos < end) {
      if (input[pos] === quote) return this.#stringEnd(input, pos, base)
      const found = input.indexOf(quote, pos)
      const stop = found < 0 || found >= end ? end : found
      const isEscaped = this.#escapedAt(input, pos, stop)
      if (stop === end) {
        this.#escaped = isEscaped
        return end
      }
      if (!isEscaped) return this.#stringEnd(input, stop, base)
      if (stop - pos < denseBytes) pos = walkedWords(input, stop + 1, Math.min(end, stop + denseWalkBytes))
      else pos = stop + 1
    }
    this.#escaped = pos > end
    return end
  }

  /** Whether the byte at `stop` is escaped by the backslashes before it; `from` itself is not escaped. */
  #escapedAt(input: Buffer, from: number, stop: number): boolean {
    let pos = stop
    while (pos > from && input[pos - 1] === backslash) pos--
    return ((stop - pos) & 1) === 1
  }

  #stringEnd(input: Buffer, pos: number, base: number): number {
    if (!this.#isKey) this.#valueEnd(base + pos + 1)
    else {
      this.#expect = expect.colon
      if (this.#depth === 1) this.#keyEnd(input, pos)
      // Cut between two slices, or long.
      else this.#hint()
    }
    return pos + 1
  }

  #hintAt(input: Buffer, from: number, end: number): void {
    if (!this.hinted && isOneOf(this.#hintsByLength[end - from], input, from)) this.#hint()
  }

  #hint(): void {
    if (this.#key !== undefined && this.#hints.within.has(this.#key)) this.hinted = true
  }

  /** A top-level key has ended at `pos`: nearly always one in one piece and without escapes. */
  #keyEnd(input: Buffer, pos: number): void {
    const from = this.#keyFrom
    this.#keyFrom = -1
    if (this.#keyParts === '') {
      this.#key = this.#wantedAt(input, from, pos)
      if (this.#key !== undefined || !hasBackslash(input, from, pos)) return
    }
    this.#addKey(input.toString('latin1', from, pos))
    const key = this.#keyParts.includes('\\') ? unescapeKey(this.#keyParts) : this.#keyParts
    this.#key = this.#wanted.has(key) ? key : undefined
  }

  /** The wanted key that is spelled by the bytes [from, end). */
  #wantedAt(input: Buffer, from: number, end: number): string | undefined {
    const candidates = this.#wantedByLength[end - from]
    if (candidates === undefined) return undefined
    for (const key of candidates) {
      let at = 0
      while (at < key.length && input[from + at] === key.charCodeAt(at)) at++
      if (at === key.length) return key
    }
    return undefined
  }

  #addKey(part: string): void {
    if (this.#keyParts.length + part.length <= maxKeyBytes) this.#keyParts += part
    // A key this long is none of ours; a character that no wanted key has keeps it from ever becoming one.
    else this.#keyParts = '\u0000'
  }

  #literalBytes(input: Buffer, from: number, end: number, base: number): number {
    let pos = from
    while (pos < end && this.#literalAt < this.#literal.length) {
      if (input[pos] !== this.#literal.charCodeAt(this.#literalAt)) {
        this.#fail(base + pos, 'a value is none of true, false, null')
        return end
      }
      this.#literalAt++
      pos++
    }
    if (this.#literalAt === this.#literal.length) this.#valueEnd(base + pos)
    return pos
  }

  #numberBytes(input: Buffer, from: number, end: number, base: number): number {
    let pos = from
    while (pos < end) {
      const next = nextNumberState(this.#number, input[pos] as number)
      if (next === num.ended) {
        if (!isNumberEnd(this.#number)) this.#fail(base + pos, 'a number is malformed')
        else this.#valueEnd(base + pos)
        return pos
      }
      this.#number = next
      pos++
    }
    return pos
  }
}

const noHints: JsonHints = { keys: new Set(), within: new Set() }

function byLength(keys: ReadonlySet<string>): readonly (readonly string[])[] {
  const lists: string[][] = Array.from({ length: maxWantedLength + 1 }, () => [])
  for (const key of keys) lists[key.length]?.push(key)
  return lists
}

/** Whether one of `keys`, which are as long as what is looked at, stands at `from`. */
function isOneOf(keys: readonly string[] | undefined, input: Buffer, from: number): boolean {
  if (keys === undefined) return false
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i] as string
    let at = 0
    while (at < key.length && input[from + at] === key.charCodeAt(at)) at++
    if (at === key.length) return true
  }
  return false
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}

function hasBackslash(input: Buffer, from: number, end: number): boolean {
  for (let pos = from; pos < end; pos++) if (input[pos] === backslash) return true
  return false
}

/**
 * Walks a string's bytes from `pos`, which is not escaped: returns the position of the closing quote, or else the first
 * unescaped position at or behind `end`.
 */
function walkedBytes(input: Buffer, from: number, end: number): number {
  let pos = from
  while (pos < end) {
    const byte = input[pos]
    if (byte === quote) return pos
    // A branch, not a conditional step: the next load then need not wait for this one.
    if (byte === backslash) pos++
    pos++
  }
  return pos
}

/**
 * Walks a JSON string's bytes from `from`, which is not escaped, to the closing quote, or else to the first unescaped position at
 * or behind `end`. In steps of four bytes: a word without quote and backslash is skipped at once.
 */
export function walkedWords(input: Buffer, from: number, end: number): number {
  const view = new DataView(input.buffer, input.byteOffset, input.length)
  const lastWord = end - 4
  let pos = from
  while (pos <= lastWord) {
    const word = view.getInt32(pos, true)
    const quotes = word ^ 0x22222222
    const backslashes = word ^ 0x5c5c5c5c
    // The lowest set bit marks the first byte that is zero in one of the two (Hacker's Delight 6-1).
    const marks = (((quotes - 0x01010101) & ~quotes) | ((backslashes - 0x01010101) & ~backslashes)) & 0x80808080
    if (marks === 0) pos += 4
    else {
      const at = pos + ((31 - Math.clz32(marks & -marks)) >> 3)
      if (input[at] === quote) return at
      pos = at + 2
    }
  }
  return walkedBytes(input, pos, end)
}

const num = { minus: 0, zero: 1, int: 2, dot: 3, fraction: 4, e: 5, sign: 6, exponent: 7, ended: 8 }

function isNumberEnd(state: number): boolean {
  return state === num.zero || state === num.int || state === num.fraction || state === num.exponent
}

function nextNumberState(state: number, byte: number): number {
  const isDigit = byte >= 0x30 && byte <= 0x39
  if (isDigit) {
    if (state === num.int || state === num.fraction || state === num.exponent) return state
    if (state === num.minus) return byte === 0x30 ? num.zero : num.int
    if (state === num.dot) return num.fraction
    return state === num.zero ? num.ended : num.exponent
  }
  if (byte === 0x2e && (state === num.zero || state === num.int)) return num.dot
  if ((byte | 0x20) === 0x65 && (state === num.zero || state === num.int || state === num.fraction)) return num.e
  if ((byte === 0x2b || byte === 0x2d) && state === num.e) return num.sign
  return num.ended
}

/** A key with escapes, decoded; one that no parser accepts decodes to a text that matches nothing. */
function unescapeKey(raw: string): string {
  try {
    const key: unknown = JSON.parse(`"${Buffer.from(raw, 'latin1').toString('utf8')}"`)
    return typeof key === 'string' ? key : '\u0000'
  } catch {
    return '\u0000'
  }
}
