import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import type { CertificatePair, Limits, ListenerPlan } from '#config/snapshot.ts'
import type { ExchangeHandler } from '#contracts/exchange.ts'
import type { Clock } from '#core/clock.ts'
import { SlabPool } from '#struct/slab-pool.ts'
import { directSocket } from './direct-socket.ts'
import { Http1Connection } from './http1/connection.ts'

/** What a listener needs. */
export interface ListenerPorts {
  readonly handler: ExchangeHandler
  readonly clock: Clock
  readonly onConnections: (open: number) => void
  readonly onRefusedConnection: () => void
}

const sweepMs = 500
/** A TLS handshake that takes longer is dropped. */
const handshakeTimeoutMs = 10_000
const backlog = 4096
const readBufferBytes = 64 * 1024

const tooManyBody =
  '{"error":{"message":"The listener holds as many connections as it may.","type":"server_error","param":null,' +
  '"code":"too_many_connections"}}'

/** The answer to a connection beyond the limit: written without reading, as cheaply as possible. */
const tooManyText =
  'HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nx-infer-reason: too-many-connections\r\n' +
  `retry-after: 1\r\nconnection: close\r\ncontent-length: ${tooManyBody.length}\r\n\r\n${tooManyBody}`

/** An open listener. Owns its server socket and every connection accepted on it. */
export class Listener {
  readonly plan: ListenerPlan
  readonly #server: Server
  readonly #ports: ListenerPorts
  readonly #connections = new Set<Http1Connection>()
  readonly #pool = new SlabPool()
  readonly #readBuffer = Buffer.allocUnsafeSlow(readBufferBytes)
  #limits: Limits
  #draining = false
  #closed = false

  constructor(plan: ListenerPlan, limits: Limits, ports: ListenerPorts) {
    this.plan = plan
    this.#limits = limits
    this.#ports = ports
    const accept = (socket: Socket) => this.#accept(socket)
    const options = { noDelay: true, allowHalfOpen: true } as const
    if (plan.tls === undefined) this.#server = createServer({ ...options, pauseOnConnect: true }, accept)
    else {
      const { cert, key } = plan.tls.certificates[0] as CertificatePair
      const tls = { ...options, cert, key, handshakeTimeout: handshakeTimeoutMs, ALPNProtocols: ['http/1.1'] }
      this.#server = createTlsServer(tls, accept)
      this.#server.on('tlsClientError', (_error: Error, socket: Socket) => socket.destroy())
    }
  }

  /** Opens the socket; resolves with the port, rejects with the system's error. */
  listen(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      const { address: host, port } = this.plan
      this.#server.listen({ host, port, backlog, exclusive: true }, () => {
        this.#server.off('error', reject)
        this.#server.on('error', () => {})
        this.#sweepLater()
        const address = this.#server.address()
        resolve(typeof address === 'object' && address !== null ? address.port : port)
      })
    })
  }

  /** Connections now open. */
  get connections(): number {
    return this.#connections.size
  }

  /** New limits for connections to come. */
  configure(limits: Limits): void {
    this.#limits = limits
  }

  /** Stops accepting, drops idle connections, and closes the others after their answer; resolves when none is left. */
  async drain(): Promise<void> {
    this.#draining = true
    this.#server.close()
    for (const connection of this.#connections) if (!connection.isBusy) connection.destroy()
    while (this.#connections.size > 0 && !this.#closed) {
      await new Promise<void>((resolve) => this.#ports.clock.after(20, resolve))
    }
  }

  /** Drops everything at once. */
  close(): void {
    this.#closed = true
    this.#server.close()
    for (const connection of this.#connections) connection.destroy()
  }

  #accept(accepted: Socket): void {
    if (this.#connections.size >= this.plan.connections) {
      this.#ports.onRefusedConnection()
      accepted.on('error', () => {})
      accepted.end(tooManyText, 'latin1', () => accepted.destroy())
      return
    }
    const isPlain = this.plan.tls === undefined
    const socket = isPlain ? directSocket(accepted, this.#readBuffer, (bytes) => received(bytes)) : accepted
    const received = (bytes: number): void => connection.received(this.#readBuffer, bytes)
    const connection = new Http1Connection(socket, {
      pool: this.#pool,
      listener: this.plan.name,
      limits: this.#limits,
      handler: this.#ports.handler,
      clock: this.#ports.clock,
      isDraining: () => this.#draining,
      closed: (closed) => {
        this.#connections.delete(closed)
        this.#ports.onConnections(this.#connections.size)
      },
    })
    this.#connections.add(connection)
    this.#ports.onConnections(this.#connections.size)
  }

  #sweepLater(): void {
    this.#ports.clock.after(sweepMs, () => {
      if (this.#closed) return
      const nowMs = this.#ports.clock.nowMs()
      for (const connection of this.#connections) connection.sweep(nowMs)
      this.#sweepLater()
    })
  }
}
