/** Longest value taken over, in UTF-16 units; longer ones end in an ellipsis. */
const maxTextLength = 512

/** Bytes that one `text` may take at most: every unit escaped as \u00xx, and some for quotes and ellipsis. */
export const maxTextBytes = maxTextLength * 6 + 16

/**
 * Writes JSON fields straight into one reused buffer: about 2 ns a character, where building a string and encoding it
 * take 4. The caller sees to it that there is room: `maxTextBytes` per text, 64 bytes per number.
 */
export class LineWriter {
  readonly bytes: Buffer
  /** Bytes written so far. */
  length = 0

  constructor(capacity: number) {
    this.bytes = Buffer.allocUnsafe(capacity)
  }

  /** Characters of our own, as they are: ASCII only. */
  raw(ascii: string): void {
    const { bytes } = this
    let at = this.length
    for (let i = 0; i < ascii.length; i++) bytes[at++] = ascii.charCodeAt(i)
    this.length = at
  }

  /** A field with a string, escaped and cut where needed; nothing when the value is undefined or empty. */
  text(key: string, value: string | undefined): void {
    if (value === undefined || value === '') return
    this.raw(key)
    const { bytes } = this
    const start = this.length
    const end = value.length
    if (end > maxTextLength) return this.#escaped(`${value.slice(0, maxTextLength)}…`)
    let at = start
    bytes[at++] = 0x22
    for (let i = 0; i < end; i++) {
      const code = value.charCodeAt(i)
      if (code < 0x20 || code > 0x7e || code === 0x22 || code === 0x5c) return this.#escaped(value)
      bytes[at++] = code
    }
    bytes[at++] = 0x22
    this.length = at
  }

  /** A field with a whole number; nothing when it is undefined. */
  count(key: string, value: number | undefined): void {
    if (value === undefined) return
    this.raw(key)
    this.#whole(value)
  }

  /** A field with milliseconds to three decimals; nothing for NaN. Below zero, where clocks round, is 0. */
  ms(key: string, durationMs: number): void {
    const us = Math.round(durationMs * 1000)
    if (Number.isNaN(us)) return
    this.raw(key)
    const bounded = Math.min(Math.max(us, 0), Number.MAX_SAFE_INTEGER)
    const rest = bounded % 1000
    this.#whole((bounded - rest) / 1000)
    this.bytes[this.length++] = 0x2e
    this.#threeDigits(rest)
  }

  #threeDigits(value: number): void {
    const { bytes } = this
    let at = this.length
    bytes[at++] = 0x30 + ((value / 100) | 0)
    bytes[at++] = 0x30 + (((value / 10) | 0) % 10)
    bytes[at++] = 0x30 + (value % 10)
    this.length = at
  }

  #whole(value: number): void {
    if (!(value >= 0 && value <= 0x7fffffff && value === (value | 0))) return this.raw(jsonNumber(value))
    let rest = value | 0
    let digits = 1
    for (let bound = 10; digits < 10 && rest >= bound; bound *= 10) digits++
    for (let at = this.length + digits - 1; at >= this.length; at--) {
      const next = (rest / 10) | 0
      this.bytes[at] = 0x30 + rest - next * 10
      rest = next
    }
    this.length += digits
  }

  #escaped(value: string): void {
    this.length += this.bytes.write(jsonString(value), this.length)
  }
}

/** JSON has no NaN and no infinity. */
const jsonNumber = (value: number): string => (Number.isFinite(value) ? String(value) : 'null')

/** JSON.stringify leaves DEL and the C1 controls alone, but a terminal acts on them; some readers split at U+2028. */
function jsonString(text: string): string {
  return JSON.stringify(text).replace(
    /[\p{Cc}\u2028\u2029]/gu,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
