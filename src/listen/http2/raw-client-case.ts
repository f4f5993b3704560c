import { connect, type Socket } from 'node:net'

// For tests: a client that speaks HTTP/2 frame by frame, however wrong.

/** Frame types of RFC 9113 6. */
export const type = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const

/** Frame flags of the same. */
export const flag = { ack: 1, endStream: 1, endHeaders: 4 } as const

/** A frame as it came. */
export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

/** The bytes of a frame. */
export function frame(kind: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = kind
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** A header block without compression (RFC 7541 6.2.2); names and values up to 126 bytes. */
export function block(...fields: readonly string[]): Buffer {
  const parts: Buffer[] = []
  for (let i = 0; i < fields.length; i += 2) {
    const [name, value] = [Buffer.from(fields[i] ?? '', 'latin1'), Buffer.from(fields[i + 1] ?? '', 'latin1')]
    parts.push(Buffer.from([0, name.length]), name, Buffer.from([value.length]), value)
  }
  return Buffer.concat(parts)
}

/** A head of a request for `path`. */
export function headOf(method: string, path: string, ...more: readonly string[]): Buffer {
  return block(':method', method, ':scheme', 'http', ':path', path, ':authority', 'door.test', ...more)
}

/** A whole GET in one frame. */
export function get(stream: number, path = '/'): Buffer {
  return frame(type.headers, flag.endStream | flag.endHeaders, stream, headOf('GET', path))
}

/** RST_STREAM or the payload of another frame that is one number. */
export function number(value: number): Buffer {
  const payload = Buffer.alloc(4)
  payload.writeUInt32BE(value)
  return payload
}

/** A connection that has sent the preface and its settings. */
export class RawHttp2 {
  readonly socket: Socket
  readonly frames: Frame[] = []
  #input = Buffer.alloc(0)
  isEnded = false
  #wake: (() => void) | undefined

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1' })
    this.socket.setNoDelay(true)
    this.socket.on('data', (bytes: Buffer) => this.#read(bytes))
    for (const event of ['end', 'close', 'error']) {
      this.socket.on(event, () => {
        this.isEnded = true
        this.#wake?.()
      })
    }
    this.send(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(type.settings, 0, 0))
  }

  /** Writes frames in one piece. */
  send(...frames: readonly Buffer[]): void {
    if (!this.socket.destroyed) this.socket.write(Buffer.concat(frames))
  }

  /** The first frame that `is` likes, waiting for it; undefined when the connection ends before. */
  async frame(is: (one: Frame) => boolean): Promise<Frame | undefined> {
    for (;;) {
      const found = this.frames.find(is)
      if (found !== undefined || this.isEnded) return found
      await this.#more()
    }
  }

  /** The frames of a stream of one type so far. */
  of(kind: number, stream: number): Frame[] {
    return this.frames.filter((one) => one.type === kind && one.stream === stream)
  }

  /** Resolves when the connection has ended. */
  async ended(): Promise<void> {
    while (!this.isEnded) await this.#more()
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  #read(bytes: Buffer): void {
    this.#input = Buffer.concat([this.#input, bytes])
    while (this.#input.length >= 9) {
      const end = 9 + this.#input.readUIntBE(0, 3)
      if (this.#input.length < end) break
      const [kind = 0, flags = 0] = this.#input.subarray(3, 5)
      const payload = this.#input.subarray(9, end)
      this.frames.push({ type: kind, flags, stream: this.#input.readUInt32BE(5) & 0x7fffffff, payload })
      this.#input = this.#input.subarray(end)
    }
    this.#wake?.()
  }
}
