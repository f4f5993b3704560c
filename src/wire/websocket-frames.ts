const closeOpcode = 8
const maxControlPayload = 125

/**
 * Follows the frames of one direction of a WebSocket (RFC 6455 5.2) without looking at what is in them: reads the
 * lengths only, and whether they are masked, so that a frame of ours can be put between two of theirs. Nothing is
 * checked: the two ends of the tunnel do that.
 */
export class FrameTracker {
  /** A close frame has begun to pass: nothing may follow it. */
  hasClosed = false
  #payloadBytes = 0
  #headerRead = 0
  #headerBytes = 0
  #length = 0
  #lengthBytes = 0

  /** Whether the last byte was the last one of a frame, or none has come. */
  get isBetweenFrames(): boolean {
    return this.#payloadBytes === 0 && this.#headerRead === 0
  }

  /** Takes `buffer[start, end)`, cut anywhere. */
  push(buffer: Buffer, start: number, end: number): void {
    let at = start
    while (at < end) {
      if (this.#payloadBytes > 0) {
        const taken = Math.min(this.#payloadBytes, end - at)
        this.#payloadBytes -= taken
        at += taken
      } else this.#header(buffer[at++] as number)
    }
  }

  #header(byte: number): void {
    const position = this.#headerRead++
    if (position === 0) {
      if ((byte & 0x0f) === closeOpcode) this.hasClosed = true
      this.#headerBytes = 2
      return
    }
    if (position === 1) {
      const short = byte & 0x7f
      this.#lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0
      this.#length = this.#lengthBytes === 0 ? short : 0
      this.#headerBytes += this.#lengthBytes + (byte >= 0x80 ? 4 : 0)
    } else if (position < 2 + this.#lengthBytes) this.#length = this.#length * 256 + byte
    if (this.#headerRead < this.#headerBytes) return
    this.#headerRead = 0
    this.#payloadBytes = this.#length
  }
}

/**
 * A close frame (RFC 6455 5.5.1). A client masks it, with four random bytes; a server does not. A reason that is too
 * long for a control frame is cut.
 */
export function closeFrame(code: number, reason: string, mask?: Buffer): Buffer {
  const payload = Buffer.alloc(2 + Math.min(Buffer.byteLength(reason), maxControlPayload - 2))
  payload.writeUInt16BE(code)
  payload.write(reason, 2)
  const head = [0x80 | closeOpcode, payload.length | (mask === undefined ? 0 : 0x80)]
  if (mask === undefined) return Buffer.concat([Buffer.from(head), payload])
  for (let i = 0; i < payload.length; i++) payload[i] = (payload[i] as number) ^ (mask[i % 4] as number)
  return Buffer.concat([Buffer.from(head), mask, payload])
}
