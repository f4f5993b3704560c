import { createServer, type IncomingMessage, type Server } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'

/** A handshake as it reached the engine. */
export interface Handshake {
  readonly target: string
  readonly headers: IncomingMessage['headers']
}

/** What an engine does with a handshake instead of accepting it; undefined accepts it. */
export type Refuses = (request: IncomingMessage, socket: Duplex) => boolean

/** How an engine listens and speaks. */
export interface EngineOptions {
  readonly perMessageDeflate?: boolean
  /** Certificate and key: the engine then listens with TLS. */
  readonly tls?: { readonly cert: string; readonly key: string }
}

/** A model server with a realtime endpoint that echoes every message; `ws` speaks for it. */
export class RealtimeEngine {
  readonly handshakes: Handshake[] = []
  /** Connections open now, the oldest first. */
  readonly sockets: WebSocket[] = []
  /** Close codes that clients sent, in order. */
  readonly closeCodes: number[] = []
  echoes = true
  refuses: Refuses = () => false
  readonly #server: Server
  readonly #scheme: 'http' | 'https'
  readonly #webSockets: WebSocketServer

  private constructor({ perMessageDeflate = false, tls }: EngineOptions) {
    this.#scheme = tls === undefined ? 'http' : 'https'
    this.#server =
      tls === undefined
        ? createServer((_request, response) => response.end('ok'))
        : createSecureServer(tls, (_request, response) => response.end('ok'))
    this.#webSockets = new WebSocketServer({
      noServer: true,
      perMessageDeflate,
      maxPayload: 64 * 1024 * 1024,
      handleProtocols: (offered) => (offered.has('realtime') ? 'realtime' : false),
    })
    this.#server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      this.handshakes.push({ target: request.url ?? '', headers: request.headers })
      if (this.refuses(request, socket)) return
      this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => this.#accept(webSocket))
    })
  }

  /** Listens on a port of 127.0.0.1. */
  static async start(options: EngineOptions = {}): Promise<RealtimeEngine> {
    const engine = new RealtimeEngine(options)
    await new Promise<void>((resolve) => engine.#server.listen(0, '127.0.0.1', resolve))
    return engine
  }

  get url(): string {
    const address = this.#server.address()
    return `${this.#scheme}://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
  }

  /** Endpoint id in the gateway. */
  get id(): string {
    return new URL(this.url).host
  }

  get last(): Handshake {
    const last = this.handshakes.at(-1)
    if (last === undefined) throw new Error('no handshake has come')
    return last
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.terminate()
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #accept(socket: WebSocket): void {
    this.sockets.push(socket)
    socket.on('message', (data: Buffer, isBinary) => {
      if (this.echoes) socket.send(data, { binary: isBinary })
    })
    socket.on('error', () => {})
    socket.on('close', (code) => {
      this.closeCodes.push(code)
      this.sockets.splice(this.sockets.indexOf(socket), 1)
    })
  }
}

/** Refuses a handshake with an HTTP answer of its own. */
export function answerInstead(status: number, body: string, headers: readonly string[] = []): Refuses {
  return (_request, socket) => {
    const lines = [
      `HTTP/1.1 ${status} No`,
      'content-type: application/json',
      `content-length: ${body.length}`,
      ...headers,
    ]
    socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`)
    return true
  }
}
