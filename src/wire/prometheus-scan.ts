/**
 * Bytes before the remembered place where a search begins: a page whose numbers lost some digits moves a line up by a
 * few bytes, so it is still found without going through the page from its start.
 */
const slackBytes = 1024

/** After this many pages in a row without a name, it is looked for in every 16th page only. */
const maxMisses = 5

const tab = 0x09
const newline = 0x0a
const carriageReturn = 0x0d
const space = 0x20
const quote = 0x22
const hash = 0x23
const comma = 0x2c
const equals = 0x3d
const backslash = 0x5c
const braceOpen = 0x7b
const braceClose = 0x7d

/**
 * Reads a few wanted metrics out of a Prometheus or OpenMetrics text page, without parsing the rest of it. It keeps
 * where each name was in the page before and looks there first, so one scan belongs to one endpoint.
 *
 * Usage: `open(page)`, then per name `if (scan.seek(index)) do { scan.value, scan.label(...) } while (scan.next())`.
 * For gauges and counters, whose series form one group of lines as the format demands (the parts of summaries and
 * histograms alternate). Lines that break the grammar are passed over. A name that was missing from several pages in a
 * row is looked for in every 16th page only, because a miss costs a search through the whole page.
 * Format: https://prometheus.io/docs/instrumenting/exposition_formats/
 */
export class PageScan {
  /** Value of the current series; may be NaN or infinite. */
  value = Number.NaN
  readonly #names: readonly Buffer[]
  readonly #hints: Int32Array
  readonly #misses: Uint8Array
  readonly #lookAgainAt: Float64Array
  #pages = 0
  #page: Buffer = Buffer.alloc(0)
  /** The name being read. */
  #name: Buffer = Buffer.alloc(0)
  #labelsStart = 0
  #labelsEnd = 0
  /** First byte after the current line's value. */
  #pos = 0

  /** `names` are complete sample names (`foo_total`, not `foo`), of at least one byte each. */
  constructor(names: readonly string[]) {
    this.#names = names.map((name) => Buffer.from(name))
    this.#hints = new Int32Array(names.length)
    this.#misses = new Uint8Array(names.length)
    this.#lookAgainAt = new Float64Array(names.length)
  }

  /** Takes a page, which must stay as it is until the last call for it. */
  open(page: Buffer): void {
    this.#page = page
    this.#pages++
  }

  /** Forgets which names were missing: after a restart of the endpoint, or when it answers with another page. */
  forgetMisses(): void {
    this.#misses.fill(0)
    this.#lookAgainAt.fill(0)
  }

  /** Goes to the first series of a name; false when the page has none. */
  seek(index: number): boolean {
    const name = this.#names[index]
    if (name === undefined || this.#pages < (this.#lookAgainAt[index] as number)) return false
    const hint = this.#hints[index] as number
    const from = Math.max(0, hint - slackBytes)
    let at = this.#isSample(name, hint) ? hint : this.#find(name, from)
    // The remembered place may lie inside the group when the page has shrunk.
    if (at < 0 ? from > 0 : this.#followsSameName(name, at)) at = this.#find(name, 0)
    if (at < 0) {
      const misses = Math.min((this.#misses[index] as number) + 1, maxMisses)
      this.#misses[index] = misses
      this.#lookAgainAt[index] = this.#pages + (1 << (misses - 1))
      return false
    }
    this.#misses[index] = 0
    this.#hints[index] = at
    this.#name = name
    return this.#readLine(at + name.length) || this.next()
  }

  /** Goes to the next series of the same name; false when there is none. */
  next(): boolean {
    const page = this.#page
    for (;;) {
      const lineEnd = page[this.#pos] === newline ? this.#pos : page.indexOf(newline, this.#pos)
      if (lineEnd < 0) return false
      const start = skipBlanks(page, lineEnd + 1)
      this.#pos = start
      const first = page[start]
      if (first === hash || first === newline || first === carriageReturn) continue
      if (!startsWith(page, start, this.#name) || !this.#endsName(start + this.#name.length)) return false
      if (this.#readLine(start + this.#name.length)) return true
    }
  }

  /** Value of a label of the current series, its escapes undone; undefined when the series has no such label. */
  label(name: string): string | undefined {
    const page = this.#page
    const end = this.#labelsEnd
    let pos = this.#labelsStart
    while (pos < end) {
      while (pos < end && (isBlank(page[pos]) || page[pos] === comma)) pos++
      const nameStart = pos
      while (pos < end && page[pos] !== equals && !isBlank(page[pos])) pos++
      const nameEnd = pos
      pos = skipBlanks(page, pos)
      if (page[pos] !== equals) return undefined
      pos = skipBlanks(page, pos + 1)
      if (pos >= end || page[pos] !== quote) return undefined
      const valueStart = pos + 1
      pos = quotedEnd(page, valueStart)
      if (pos < 0) return undefined
      if (nameEnd - nameStart === name.length && page.toString('latin1', nameStart, nameEnd) === name) {
        return unescape(page.toString('utf8', valueStart, pos))
      }
      pos++
    }
    return undefined
  }

  /** Position of the first line from `from` on that is a sample of the name; -1 when there is none. */
  #find(name: Buffer, from: number): number {
    const page = this.#page
    let at = page.indexOf(name, from)
    while (at >= 0) {
      if (startsLine(page, at) && this.#endsName(at + name.length)) return at
      at = page.indexOf(name, at + name.length)
    }
    return -1
  }

  #isSample(name: Buffer, at: number): boolean {
    return startsWith(this.#page, at, name) && this.#endsName(at + name.length) && startsLine(this.#page, at)
  }

  /** Whether the line before this one has the same name. */
  #followsSameName(name: Buffer, at: number): boolean {
    const page = this.#page
    if (at === 0) return false
    const lineEnd = page[at - 1] === newline ? at - 1 : page.lastIndexOf(newline, at)
    if (lineEnd <= 0) return false
    const start = skipBlanks(page, page.lastIndexOf(newline, lineEnd - 1) + 1)
    return startsWith(page, start, name) && this.#endsName(start + name.length)
  }

  /** Whether a name ends here, and not in the middle of a longer one. */
  #endsName(pos: number): boolean {
    const byte = this.#page[pos]
    return byte === braceOpen || isBlank(byte)
  }

  /** Reads labels and value that follow a name; false when the line is malformed. `#pos` never leaves the line. */
  #readLine(afterName: number): boolean {
    const page = this.#page
    let pos = skipBlanks(page, afterName)
    this.#pos = pos
    this.#labelsStart = pos
    this.#labelsEnd = pos
    if (page[pos] === braceOpen) {
      pos = labelsEnd(page, pos + 1)
      if (pos < 0) return false
      this.#labelsStart++
      this.#labelsEnd = pos
      pos = skipBlanks(page, pos + 1)
    }
    let end = pos
    while (end < page.length && (page[end] as number) > space) end++
    this.#pos = end
    const value = readNumber(page, pos, end)
    if (value === undefined) return false
    this.value = value
    return true
  }
}

function isBlank(byte: number | undefined): boolean {
  return byte === space || byte === tab
}

function skipBlanks(page: Buffer, from: number): number {
  let pos = from
  while (isBlank(page[pos])) pos++
  return pos
}

function startsLine(page: Buffer, at: number): boolean {
  let pos = at - 1
  while (pos >= 0 && isBlank(page[pos])) pos--
  return pos < 0 || page[pos] === newline
}

function startsWith(page: Buffer, at: number, text: Buffer): boolean {
  if (at + text.length > page.length) return false
  for (let i = 0; i < text.length; i++) if (page[at + i] !== text[i]) return false
  return true
}

/** Position of the brace that closes a label set; -1 when the line ends before it. */
function labelsEnd(page: Buffer, from: number): number {
  let pos = from
  while (pos < page.length) {
    const byte = page[pos]
    if (byte === braceClose) return pos
    if (byte === newline) return -1
    if (byte === quote) {
      pos = quotedEnd(page, pos + 1)
      if (pos < 0) return -1
    }
    pos++
  }
  return -1
}

/** Position of the quote that ends a label value; -1 when the line ends before it. */
function quotedEnd(page: Buffer, from: number): number {
  let pos = from
  while (pos < page.length) {
    const byte = page[pos]
    if (byte === quote) return pos
    if (byte === newline) return -1
    pos += byte === backslash && page[pos + 1] !== newline ? 2 : 1
  }
  return -1
}

function unescape(text: string): string {
  if (!text.includes('\\')) return text
  return text.replace(/\\([\\"n])/g, (_, char: string) => (char === 'n' ? '\n' : char))
}

/** Most digits whose value is an exact integer in a double. */
const exactDigits = 15

/** Reads a sample value; undefined when the bytes are no number. Plain decimals take no string. */
function readNumber(page: Buffer, start: number, end: number): number | undefined {
  let pos = start
  let mantissa = 0
  let digits = 0
  let decimals = 0
  const negative = page[pos] === 0x2d
  if (negative) pos++
  for (; pos < end && isDigit(page[pos]); pos++, digits++) mantissa = mantissa * 10 + (page[pos] as number) - 0x30
  if (page[pos] === 0x2e && digits > 0) {
    for (pos++; pos < end && isDigit(page[pos]); pos++, digits++, decimals++) {
      mantissa = mantissa * 10 + (page[pos] as number) - 0x30
    }
  }
  // Both the mantissa and the power of ten are exact, so the quotient is the nearest double: what Number() would give.
  if (pos === end && digits > 0 && digits <= exactDigits) {
    const magnitude = decimals === 0 ? mantissa : mantissa / 10 ** decimals
    return negative ? -magnitude : magnitude
  }
  return numberFromText(page.toString('latin1', start, Math.min(end, start + 64)))
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39
}

function numberFromText(text: string): number | undefined {
  if (/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(text)) return Number(text)
  switch (text.toLowerCase()) {
    case 'nan':
      return Number.NaN
    case 'inf':
    case '+inf':
    case 'infinity':
    case '+infinity':
      return Number.POSITIVE_INFINITY
    case '-inf':
    case '-infinity':
      return Number.NEGATIVE_INFINITY
    default:
      return undefined
  }
}
