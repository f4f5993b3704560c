import { connect as connectTcp, type Socket } from 'node:net'
import type { EndpointPlan } from '#config/snapshot.ts'
import type { RefusalReason } from '#core/refusal.ts'
import { ResponseReader, type ResponseSink } from './response-reader.ts'
import type { UpstreamBody } from './upstream-request.ts'
import type { UpstreamTlsClient } from './upstream-tls.ts'

/** Why an upstream exchange failed. */
export interface UpstreamFailure {
  readonly reason: Extract<RefusalReason, 'upstream-unreachable' | 'upstream-reset' | 'upstream-malformed'>
  /** For the log: what the system or the parser said. */
  readonly detail: string
  /** True when nothing of an answer had come and the connection had served before: the usual keep-alive race. */
  readonly isStale: boolean
}

/** Who waits for the answer on a connection. After `completed` or `failed` nothing more is called. */
export interface UpstreamHandler extends ResponseSink {
  /** Everything of one socket read has been delivered. False asks the connection to pause until `resume`. */
  readEnd(): boolean
  completed(): void
  failed(failure: UpstreamFailure): void
}

/** What a connection tells its pool. */
export interface UpstreamOwner {
  /** The answer is complete and the connection can carry another request. */
  released(connection: UpstreamConnection): void
  closed(connection: UpstreamConnection): void
}

/**
 * Requests up to here leave as one buffer, copied into pooled memory; longer ones as a gathered write of their slices,
 * because a large buffer for every request is a full collection every 64 MB (struct/slab-pool.ts).
 */
const joinBytes = 4 * 1024

/** One connection to one endpoint, carrying one request at a time. Owns its socket. */
export class UpstreamConnection {
  readonly #socket: Socket
  readonly #owner: UpstreamOwner
  readonly #reader = new ResponseReader()
  #handler: UpstreamHandler | undefined = undefined
  #connected = false
  #served = 0
  #dead = false
  /** Clock.nowMs of the last release; read by the pool's sweep. */
  idleSinceMs = 0

  constructor(
    endpoint: EndpointPlan,
    tls: UpstreamTlsClient | undefined,
    owner: UpstreamOwner,
    readBuffer: Uint8Array,
  ) {
    this.#owner = owner
    this.#socket = tls === undefined ? this.#connectPlain(endpoint, readBuffer) : this.#connectTls(tls)
    this.#socket.on('error', (error: Error) => this.#lost(detailOf(error)))
    this.#socket.on('end', () => this.#ended())
    this.#socket.on('close', () => this.#lost('the connection was closed'))
  }

  get isConnected(): boolean {
    return this.#connected
  }

  /** Whether everything of the request has left this process. */
  get isFlushed(): boolean {
    return this.#socket.writableLength === 0
  }

  /** Idle time the endpoint announced, ms; undefined when it said nothing. */
  get keepAliveMs(): number | undefined {
    return this.#reader.keepAliveMs
  }

  /** Sends a POST: `head` as latin1, then the body. */
  send(head: string, body: UpstreamBody, handler: UpstreamHandler): void {
    this.#handler = handler
    this.#reader.begin(false)
    const socket = this.#socket
    if (body.bytes <= joinBytes) {
      const out = Buffer.allocUnsafe(head.length + body.bytes)
      let at = out.write(head, 0, 'latin1')
      for (const slice of body.slices) at += slice.copy(out, at)
      socket.write(out)
      return
    }
    socket.cork()
    socket.write(Buffer.from(head, 'latin1'))
    for (const slice of body.slices) socket.write(slice)
    socket.uncork()
  }

  /** Reading goes on after `readEnd` returned false. */
  resume(): void {
    this.#socket.resume()
  }

  /** Drops the connection at once: the engine stops generating. The handler hears nothing more. */
  destroy(): void {
    this.#drop()
  }

  /** All plain connections of a thread read into the same buffer: what is kept of it is copied by then. */
  #connectPlain(endpoint: EndpointPlan, readBuffer: Uint8Array): Socket {
    const socket = connectTcp({
      host: endpoint.host,
      port: endpoint.port,
      noDelay: true,
      onread: {
        buffer: readBuffer,
        callback: (bytes, buffer) => {
          this.#read(buffer as Buffer, bytes)
          return true
        },
      },
    })
    socket.on('connect', () => {
      this.#connected = true
    })
    return socket
  }

  #connectTls(tls: UpstreamTlsClient): Socket {
    const socket = tls.connect()
    socket.on('secureConnect', () => {
      this.#connected = true
    })
    socket.on('data', (chunk: Buffer) => this.#read(chunk, chunk.length))
    return socket
  }

  #read(buffer: Buffer, bytes: number): void {
    const handler = this.#handler
    if (handler === undefined) {
      // Bytes that nobody asked for: the next answer could be mistaken for another.
      if (!this.#dead) this.#drop()
      return
    }
    this.#reader.read(buffer, bytes, handler)
    // The handler may have given up (or been replaced after a retry) while it was fed.
    if (this.#handler !== handler) return
    if (this.#reader.error !== undefined) return this.#fail('upstream-malformed', this.#reader.error)
    if (this.#reader.complete) return this.#complete(handler)
    if (!handler.readEnd()) this.#socket.pause()
  }

  #complete(handler: UpstreamHandler): void {
    this.#handler = undefined
    this.#served++
    const isReusable = this.#reader.keepAlive && !this.#dead && this.#socket.writableLength === 0
    if (isReusable) this.#owner.released(this)
    else this.#drop()
    handler.completed()
  }

  #ended(): void {
    const handler = this.#handler
    if (handler === undefined) return this.#drop()
    // The other side ended the handshake of TLS: it never had the request.
    if (!this.#connected) return this.#lost('the connection was closed before it was made')
    if (this.#reader.endOfInput()) return this.#complete(handler)
    this.#fail('upstream-reset', 'the connection was closed in the middle of an answer')
  }

  #lost(detail: string): void {
    if (this.#handler !== undefined) this.#fail(this.#connected ? 'upstream-reset' : 'upstream-unreachable', detail)
    else this.#drop()
  }

  #fail(reason: UpstreamFailure['reason'], detail: string): void {
    const handler = this.#handler
    const isStale = this.#served > 0 && !this.#reader.started && reason === 'upstream-reset'
    this.#drop()
    handler?.failed({ reason, detail, isStale })
  }

  #drop(): void {
    this.#handler = undefined
    this.#reader.cancel()
    if (this.#dead) return
    this.#dead = true
    this.#socket.destroy()
    this.#owner.closed(this)
  }
}

/** What the system said. Of a name with several addresses, none of which answers, only the code says something. */
function detailOf(error: NodeJS.ErrnoException): string {
  return error.message === '' ? (error.code ?? error.name) : error.message
}
