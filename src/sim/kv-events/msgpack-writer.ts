const FIRST_BYTES = 4096

/** Longest that one header or scalar gets. */
const SCALAR_BYTES = 9

/**
 * Writes MessagePack into one growing buffer: every integer, text and length in its shortest form, which is what msgspec writes
 * and so what engines send. A library writes whole numbers above 2^32 as floats or as signed integers; the bytes would differ.
 */
export class MsgpackWriter {
  #bytes = Buffer.allocUnsafe(FIRST_BYTES)
  #length = 0

  nil(): void {
    this.#byte(0xc0)
  }

  /** A whole number in [0, 2^53). */
  uint(value: number): void {
    this.#reserve(SCALAR_BYTES)
    if (value < 0x80) this.#bytes[this.#length++] = value
    else if (value < 0x100) this.#tagged(0xcc, value, 1)
    else if (value < 0x10000) this.#tagged(0xcd, value, 2)
    else if (value < 0x100000000) this.#tagged(0xce, value, 4)
    else this.int(BigInt(value))
  }

  /** A whole number in [-2^63, 2^64). */
  int(value: bigint): void {
    if (value >= 0n && value < 0x100000000n) return this.uint(Number(value))
    this.#reserve(SCALAR_BYTES)
    if (value >= 0n) {
      this.#bytes[this.#length] = 0xcf
      this.#bytes.writeBigUInt64BE(value, this.#length + 1)
      this.#length += SCALAR_BYTES
    } else if (value < -0x80000000n) {
      this.#bytes[this.#length] = 0xd3
      this.#bytes.writeBigInt64BE(value, this.#length + 1)
      this.#length += SCALAR_BYTES
    } else {
      this.#negative(Number(value))
    }
  }

  float(value: number): void {
    this.#reserve(SCALAR_BYTES)
    this.#bytes[this.#length] = 0xcb
    this.#bytes.writeDoubleBE(value, this.#length + 1)
    this.#length += SCALAR_BYTES
  }

  text(value: string): void {
    const size = Buffer.byteLength(value)
    if (size < 32) this.#byte(0xa0 | size)
    else this.#sized(size, 0xd9)
    this.#reserve(size)
    this.#length += this.#bytes.write(value, this.#length)
  }

  bytes(value: Uint8Array): void {
    this.#sized(value.length, 0xc4)
    this.#reserve(value.length)
    this.#bytes.set(value, this.#length)
    this.#length += value.length
  }

  /** The items follow. */
  array(items: number): void {
    if (items < 16) this.#byte(0x90 | items)
    else if (items < 0x10000) this.#header(0xdc, items, 2)
    else this.#header(0xdd, items, 4)
  }

  /** Keys and values follow, in turn. */
  map(entries: number): void {
    if (entries < 16) this.#byte(0x80 | entries)
    else this.#header(0xde, entries, 2)
  }

  /** What was written since the start or since the last call: a copy of its own. */
  take(): Buffer {
    const taken = Buffer.from(this.#bytes.subarray(0, this.#length))
    this.#length = 0
    return taken
  }

  #negative(value: number): void {
    if (value >= -32) this.#bytes[this.#length++] = value & 0xff
    else if (value >= -0x80) this.#tagged(0xd0, value & 0xff, 1)
    else if (value >= -0x8000) this.#tagged(0xd1, value & 0xffff, 2)
    else this.#tagged(0xd2, value >>> 0, 4)
  }

  /** A length of 1, 2 or 4 bytes after `tag`, `tag` + 1 or `tag` + 2. */
  #sized(size: number, tag: number): void {
    if (size < 0x100) this.#header(tag, size, 1)
    else if (size < 0x10000) this.#header(tag + 1, size, 2)
    else this.#header(tag + 2, size, 4)
  }

  #header(tag: number, value: number, width: number): void {
    this.#reserve(SCALAR_BYTES)
    this.#tagged(tag, value, width)
  }

  #tagged(tag: number, value: number, width: number): void {
    this.#bytes[this.#length] = tag
    this.#bytes.writeUIntBE(value, this.#length + 1, width)
    this.#length += 1 + width
  }

  #byte(value: number): void {
    this.#reserve(1)
    this.#bytes[this.#length++] = value
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + more))
    this.#bytes.copy(grown, 0, 0, this.#length)
    this.#bytes = grown
  }
}
