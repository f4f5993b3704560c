const primeLow = 0x1b3
const offsetHigh = 0xcbf29ce4
const offsetLow = 0x84222325

/** 64-bit FNV-1a, as two unsigned halves: no BigInt, which would be made anew for every byte. */
export class Fnv64 {
  high = offsetHigh
  low = offsetLow

  /** Goes on from another state. */
  from({ high, low }: Fnv64): this {
    this.high = high
    this.low = low
    return this
  }

  /** Takes in one byte. */
  add(byte: number): void {
    const low = (this.low ^ byte) >>> 0
    // The prime is 2^40 + 0x1b3: what the low half carries over, and its bits shifted by 40, go into the high one.
    const product = low * primeLow
    this.low = product >>> 0
    this.high = (Math.imul(this.high, primeLow) + Math.floor(product / 0x1_0000_0000) + (low << 8)) >>> 0
  }

  /** Takes in the UTF-8 bytes of a text. */
  addText(text: string): this {
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      if (code > 0x7f) return this.#addBytes(Buffer.from(text.slice(i), 'utf8'))
      this.add(code)
    }
    return this
  }

  #addBytes(bytes: Buffer): this {
    for (const byte of bytes) this.add(byte)
    return this
  }

  /** Whether it is greater than another. */
  isAbove(other: Fnv64): boolean {
    return this.high === other.high ? this.low > other.low : this.high > other.high
  }
}
