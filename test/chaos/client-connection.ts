import { connect, type Socket } from 'node:net'
import { type Answer, AnswerReader } from './answer-reader.ts'

/** One connection of a client to the gateway, on raw bytes. */
export class ClientConnection {
  readonly socket: Socket
  readonly reader = new AnswerReader()
  /** Bytes that have come. */
  bytes = 0
  #ended = false
  #wake: (() => void) | undefined = undefined

  private constructor(socket: Socket) {
    this.socket = socket
    socket.unref()
    socket.on('data', (bytes: Buffer) => {
      this.bytes += bytes.length
      this.reader.push(bytes)
      this.#wake?.()
    })
    socket.on('end', () => this.#end(true))
    socket.on('error', () => this.#end(false))
    socket.on('close', () => this.#end(false))
  }

  /** Connects to a port of 127.0.0.1 from another address of the same host; undefined when the gateway does not take it. */
  static async open(port: number, from: string): Promise<ClientConnection | undefined> {
    const socket = connect({ host: '127.0.0.1', port, localAddress: from, noDelay: true })
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true))
      socket.once('error', () => resolve(false))
    })
    return isOpen ? new ClientConnection(socket) : undefined
  }

  /** Whether the gateway has ended the connection. */
  get isEnded(): boolean {
    return this.#ended
  }

  /** Writes; resolves with whether all of it has left this process. */
  write(bytes: Buffer | string): Promise<boolean> {
    return new Promise((resolve) => {
      if (!this.socket.writable) return resolve(false)
      this.socket.write(bytes, (error) => resolve(error === undefined || error === null))
    })
  }

  /**
   * The next answer; one that is not whole when the connection ended in it; undefined when it ended without one.
   * Throws when nothing comes to an end within `limitMs`.
   */
  async answer(limitMs: number): Promise<Answer | undefined> {
    for (;;) {
      const answer = this.reader.take()
      if (answer !== undefined || this.#ended || this.reader.error !== undefined) return answer
      if (!(await this.more(limitMs))) throw new Error(`no answer within ${limitMs} ms`)
    }
  }

  /** Waits for something to happen; false when nothing did for so long. */
  more(limitMs: number): Promise<boolean> {
    if (this.#ended) return Promise.resolve(true)
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), limitMs)
      this.#wake = () => {
        clearTimeout(timer)
        resolve(true)
      }
    })
  }

  /** Leaves in one of three ways. */
  leave(how: 'destroy' | 'resetAndDestroy' | 'end'): void {
    // Node never closes a socket that is reset when its end is being sent.
    if (how === 'resetAndDestroy' && !this.socket.writable) this.socket.destroy()
    else this.socket[how]()
  }

  close(): void {
    this.socket.destroy()
  }

  #end(isOrderly: boolean): void {
    if (!this.#ended) {
      this.#ended = true
      this.reader.end(isOrderly)
    }
    this.#wake?.()
  }
}
