import { createServer, type Server, type Socket } from 'node:net'

/** Writes an answer to a request; `request` is head and body as latin1 text. */
export type RawAnswer = (socket: Socket, request: string) => void | Promise<void>

/** A model server that answers with exactly the bytes it is told to, however wrong they are. */
export class RawUpstream {
  answer: RawAnswer
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #requests = 0

  private constructor(answer: RawAnswer) {
    this.answer = answer
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket))
  }

  /** Listens on a port of 127.0.0.1. */
  static async start(answer: RawAnswer): Promise<RawUpstream> {
    const upstream = new RawUpstream(answer)
    await new Promise<void>((resolve) => upstream.#server.listen(0, '127.0.0.1', resolve))
    return upstream
  }

  get url(): string {
    const address = this.#server.address()
    return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
  }

  /** Requests so far. */
  get requests(): number {
    return this.#requests
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('error', () => {})
    let received = ''
    socket.on('data', (bytes: Buffer) => {
      received += bytes.toString('latin1')
      const headEnd = received.indexOf('\r\n\r\n')
      const length = /\r\ncontent-length: (\d+)/i.exec(received)?.[1]
      if (headEnd < 0 || received.length < headEnd + 4 + Number(length ?? 0)) return
      const request = received
      received = ''
      this.#requests++
      void this.answer(socket, request)
    })
  }
}
