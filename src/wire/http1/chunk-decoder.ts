import { charClass, charTable } from './chars.ts'

const state = {
  size: 0,
  extensionStart: 1,
  extensionName: 2,
  extensionEquals: 3,
  extensionValue: 4,
  extensionQuoted: 5,
  extensionEscape: 6,
  extensionEnd: 7,
  sizeLf: 8,
  data: 9,
  dataCr: 10,
  dataLf: 11,
  trailerStart: 12,
  trailerName: 13,
  trailerValue: 14,
  trailerLf: 15,
  endLf: 16,
} as const

const maxSizeDigits = 8
/** Of all extensions and trailers of a body together: nothing of them is used. */
const maxExtraBytes = 16 * 1024

/**
 * Fields of the message's frame, its route and its connection (RFC 9110 6.5.1). Whoever merges trailers into the head, as
 * llhttp does for `connection`, would read the rest of the stream otherwise.
 */
const headOnly: ReadonlySet<string> = new Set([
  'content-length',
  'transfer-encoding',
  'host',
  'connection',
  'proxy-connection',
  'upgrade',
])

/**
 * Decodes the chunked transfer coding (RFC 9112 7.1) strictly: hexadecimal sizes of at most 8 digits, CRLF only,
 * well-formed and bounded extensions and trailers (both dropped). Resumable at every byte.
 *
 * Call `next` until the input is used up or `done`; after each call `[dataStart, dataEnd)` of the same buffer is a
 * piece of the body (empty when equal). `error` is set for good at the first violation. After either, `next` consumes
 * nothing.
 */
export class ChunkDecoder {
  dataStart = 0
  dataEnd = 0
  done = false
  error: string | undefined = undefined
  #state: number = state.size
  #remaining = 0
  #digits = 0
  #extraBytes = 0
  #trailerName = ''

  /** Consumes bytes from `pos` and returns the new position: at most one piece of data per call. */
  next(input: Uint8Array, pos: number, end: number): number {
    this.dataStart = 0
    this.dataEnd = 0
    while (pos < end && !this.done && this.error === undefined) {
      if (this.#state === state.data) {
        const length = Math.min(this.#remaining, end - pos)
        this.dataStart = pos
        this.dataEnd = pos + length
        this.#remaining -= length
        if (this.#remaining === 0) this.#state = state.dataCr
        return pos + length
      }
      this.#step(input[pos++] as number)
    }
    return pos
  }

  /** One byte of framing. */
  #step(byte: number): void {
    switch (this.#state) {
      case state.size:
        return this.#sizeByte(byte)
      case state.sizeLf:
        if (byte !== 0x0a) this.error = 'a chunk size is not ended by CRLF'
        else this.#state = this.#remaining === 0 ? state.trailerStart : state.data
        this.#digits = 0
        return
      case state.dataCr:
        if (byte === 0x0d) this.#state = state.dataLf
        else this.error = 'chunk data is longer than its size'
        return
      case state.dataLf:
        if (byte === 0x0a) this.#state = state.size
        else this.error = 'chunk data is not ended by CRLF'
        return
      default:
        if (++this.#extraBytes > maxExtraBytes) this.error = 'the chunk extensions and trailers are too long'
        else if (this.#state < state.sizeLf) this.#extensionByte(byte)
        else this.#trailerByte(byte)
    }
  }

  #sizeByte(byte: number): void {
    const digit = hexDigit(byte)
    if (digit >= 0) {
      this.#remaining = this.#remaining * 16 + digit
      if (++this.#digits > maxSizeDigits) this.error = 'a chunk size has too many digits'
    } else if (this.#digits === 0) this.error = 'a chunk size is not hexadecimal'
    else if (byte === 0x0d) this.#state = state.sizeLf
    else if (byte === 0x3b) this.#state = state.extensionStart
    else this.error = 'a chunk size is not hexadecimal'
  }

  /** `;name`, `;name=token` or `;name="quoted"`, without blanks around them. */
  #extensionByte(byte: number): void {
    const bits = charTable[byte] as number
    const isToken = (bits & charClass.token) !== 0
    switch (this.#state) {
      case state.extensionEscape:
        if ((bits & charClass.value) !== 0) this.#state = state.extensionQuoted
        else this.error = 'a chunk extension is malformed'
        return
      case state.extensionQuoted:
        if (byte === 0x22) this.#state = state.extensionEnd
        else if (byte === 0x5c) this.#state = state.extensionEscape
        else if ((bits & charClass.value) === 0) this.error = 'a chunk extension is malformed'
        return
      case state.extensionStart:
        if (isToken) this.#state = state.extensionName
        else this.error = 'a chunk extension is malformed'
        return
      case state.extensionEquals:
        if (isToken) this.#state = state.extensionValue
        else if (byte === 0x22) this.#state = state.extensionQuoted
        else this.error = 'a chunk extension is malformed'
        return
      default:
        if (isToken && this.#state !== state.extensionEnd) return
        return this.#afterExtension(byte)
    }
  }

  #afterExtension(byte: number): void {
    if (byte === 0x0d) this.#state = state.sizeLf
    else if (byte === 0x3b) this.#state = state.extensionStart
    else if (byte === 0x3d && this.#state === state.extensionName) this.#state = state.extensionEquals
    else this.error = 'a chunk extension is malformed'
  }

  #trailerByte(byte: number): void {
    const bits = charTable[byte] as number
    switch (this.#state) {
      case state.trailerStart:
        this.#trailerName = ''
        if (byte === 0x0d) this.#state = state.endLf
        else this.#trailerNameByte(byte, bits)
        return
      case state.trailerName:
        return this.#trailerNameByte(byte, bits)
      case state.trailerValue:
        if (byte === 0x0d) this.#state = state.trailerLf
        else if ((bits & charClass.value) === 0) this.error = 'a trailer has a control byte'
        return
      default:
        if (byte !== 0x0a) this.error = 'a trailer line is not ended by CRLF'
        else if (this.#state === state.endLf) this.done = true
        else this.#state = state.trailerStart
    }
  }

  #trailerNameByte(byte: number, bits: number): void {
    if ((bits & charClass.token) !== 0) {
      this.#trailerName += String.fromCharCode(byte)
      this.#state = state.trailerName
    } else if (byte !== 0x3a || this.#trailerName === '')
      this.error = 'a trailer name is not a token followed by a colon'
    else if (headOnly.has(this.#trailerName.toLowerCase())) this.error = 'a trailer that may only stand in the head'
    else this.#state = state.trailerValue
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}
