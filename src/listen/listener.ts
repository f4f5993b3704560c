import { createServer, type Server, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { isDeepStrictEqual } from 'node:util'
import type { Limits, ListenerPlan } from '#config/snapshot.ts'
import type { ExchangeHandler } from '#contracts/exchange.ts'
import type { Clock } from '#core/clock.ts'
import { SlabPool } from '#struct/slab-pool.ts'
import type { ProxySource } from '#wire/proxy-protocol.ts'
import { compileTrustedProxies } from './client-origin.ts'
import { ConnectionTable, clientOf } from './connection-table.ts'
import { CrowdAnswer } from './crowd-answer.ts'
import { DirectSockets, directTo } from './direct-socket.ts'
import { type ConnectionContext, type ConnectionPeer, Http1Connection } from './http1/connection.ts'
import { DateText } from './http1/date-text.ts'
import { disownSocket } from './http1/socket-owner.ts'
import { Http2Connection } from './http2/connection.ts'
import { Preface } from './http2/preface.ts'
import { type SessionOptions, sessionOptions } from './http2/session-options.ts'
import type { OpenConnection } from './open-connection.ts'
import { ProxyHeader } from './proxy-header.ts'
import { descriptorOf, type ListenPlace, openServers } from './server-socket.ts'
import { TlsDoor } from './tls/door.ts'
import type { HandshakeFailure } from './tls/failure-reason.ts'
import { TlsHandshake } from './tls/handshake.ts'
import { WriteBudget } from './write-budget.ts'

/** What a listener needs. */
export interface ListenerPorts {
  readonly handler: ExchangeHandler
  readonly clock: Clock
  readonly onConnections: (open: number) => void
  readonly onRefusedConnection: () => void
  readonly onFailedHandshake?: (reason: HandshakeFailure) => void
  /** Bound of what waits for slow clients, shared by the listeners of a thread; none: each has its own. */
  readonly budget?: WriteBudget
}

const sweepMs = 500
/**
 * In a drain: how long a connection may be without a request before it is dropped. A client that has a connection open
 * may be sending on it at this moment, and learns from `connection: close` or GOAWAY that it must not go on.
 */
const drainIdleMs = 2_000
const drainPollMs = 20

/** An open listener. Owns its server sockets and every connection accepted on them. */
export class Listener {
  readonly #servers: Server[] = []
  readonly #ports: ListenerPorts
  readonly #table = new ConnectionTable()
  readonly #crowd = new CrowdAnswer()
  readonly #sockets = new DirectSockets()
  readonly #pool = new SlabPool()
  readonly #date: DateText
  readonly #budget: WriteBudget
  #plan: ListenerPlan
  #context: ConnectionContext
  #http2: SessionOptions
  #tls: TlsDoor | undefined
  #drainSinceMs = Number.POSITIVE_INFINITY
  #closed = false

  /** Throws the system's error when a certificate and its key cannot be used. */
  constructor(plan: ListenerPlan, limits: Limits, ports: ListenerPorts) {
    this.#plan = plan
    this.#ports = ports
    this.#date = new DateText(ports.clock)
    this.#budget = ports.budget ?? new WriteBudget(limits.unsentBytes)
    this.#context = this.#contextOf(plan, limits)
    this.#http2 = sessionOptions(limits)
    this.#tls = this.#doorOf(plan)
  }

  /** The settings in force for new connections. */
  get plan(): ListenerPlan {
    return this.#plan
  }

  /** Connections now open, those included that have not come as far as a request. */
  get connections(): number {
    return this.#table.size
  }

  /** Numbers of the listening descriptors in this process, for handing them over; none when it is closed. */
  get fds(): readonly number[] {
    return this.#servers.map(descriptorOf).filter((fd) => fd >= 0)
  }

  /** Opens the sockets, or adopts them; resolves with the port. Rejects with the system's error; none is then open. */
  async listen(place: ListenPlace = {}): Promise<number> {
    const { address, port } = this.#plan
    const options = { noDelay: true, allowHalfOpen: true, pauseOnConnect: true }
    const create = (): Server => createServer(options, (socket) => this.#accept(socket))
    try {
      const bound = await openServers(this.#servers, create, address, { port, ...place })
      this.#sweepLater()
      return bound
    } catch (error) {
      this.close()
      throw error
    }
  }

  /**
   * Puts other settings in force for connections to come: certificates, authorities, HTTP/2, limits. The socket stays,
   * so `plan` has the same name, address and port. Throws the system's error when a certificate cannot be used; the TLS
   * settings in force then stay.
   */
  configure(plan: ListenerPlan, limits: Limits): void {
    const before = this.#plan
    this.#plan = plan
    this.#budget.limitBytes = limits.unsentBytes
    this.#context = this.#contextOf(plan, limits)
    this.#http2 = sessionOptions(limits)
    if (plan.http2 !== before.http2 || !isDeepStrictEqual(plan.tls, before.tls)) {
      try {
        this.#tls = this.#doorOf(plan)
      } catch (error) {
        this.#plan = { ...plan, tls: before.tls, http2: before.http2 }
        throw error
      }
    }
  }

  /**
   * Stops accepting. Requests under way are answered, and end their connection; a connection without one may carry one
   * more within two seconds. Resolves when no connection is left.
   */
  async drain(): Promise<void> {
    const { clock } = this.#ports
    this.#drainSinceMs = Math.min(this.#drainSinceMs, clock.nowMs())
    for (const server of this.#servers) server.close()
    this.#sweep(clock.nowMs())
    while (this.#table.size > 0 && !this.#closed) {
      await new Promise<void>((resolve) => clock.after(drainPollMs, resolve))
    }
    this.#crowd.sweep(Number.POSITIVE_INFINITY)
    this.#closed = true
  }

  /** Drops everything at once. */
  close(): void {
    this.#closed = true
    for (const server of this.#servers) server.close()
    this.#crowd.sweep(Number.POSITIVE_INFINITY)
    for (const connection of this.#table.connections()) connection.destroy()
  }

  /** The header of the PROXY protocol is complete. */
  headerRead(header: ProxyHeader, source: ProxySource | undefined, rest: Buffer): void {
    const { socket } = header
    const { address, port } = source ?? peerOf(socket)
    this.closed(header)
    if (!this.#hasRoom(address)) return this.#refuse(socket)
    const peer = { address, port, isSecure: this.#tls !== undefined }
    if (this.#tls === undefined) return this.#serve(socket, peer, rest)
    handOver(socket, rest)
    this.#shakeHands(socket, peer)
  }

  /** The version of HTTP on a plain connection is known. */
  versionKnown(connection: Preface, isHttp2: boolean, first: Buffer): void {
    const { socket, peer } = connection
    if (isHttp2) {
      handOver(socket, first)
      this.#table.replace(connection, this.#speak2(socket, peer))
      return
    }
    const http1 = new Http1Connection(socket, this.#context, peer)
    this.#table.replace(connection, http1)
    directTo(socket, http1)
    http1.received(first, first.length)
  }

  handshakeFailed(handshake: TlsHandshake, reason: HandshakeFailure): void {
    this.#ports.onFailedHandshake?.(reason)
    this.closed(handshake)
  }

  /** A connection is gone. */
  closed(connection: OpenConnection): void {
    if (this.#table.delete(connection)) this.#ports.onConnections(this.#table.size)
  }

  #contextOf(plan: ListenerPlan, limits: Limits): ConnectionContext {
    return {
      listener: plan.name,
      limits,
      handler: this.#ports.handler,
      clock: this.#ports.clock,
      pool: this.#pool,
      budget: this.#budget,
      date: this.#date,
      trusted: compileTrustedProxies(plan.trustedProxies),
      isDraining: () => this.#drainSinceMs !== Number.POSITIVE_INFINITY,
      closed: (connection) => this.closed(connection),
    }
  }

  #doorOf({ tls, http2 }: ListenerPlan): TlsDoor | undefined {
    return tls && new TlsDoor(tls, http2, (socket, handshake) => this.#secured(socket, handshake))
  }

  #accept(accepted: Socket): void {
    const { proxyProtocol } = this.#plan
    const address = accepted.remoteAddress
    // The client was gone before it was accepted.
    if (address === undefined) return void accepted.destroy()
    if (!this.#hasRoom(proxyProtocol ? undefined : address)) return this.#refuse(accepted)
    if (!proxyProtocol && this.#tls !== undefined) return this.#shakeHands(accepted, undefined)
    const socket = this.#sockets.adopt(accepted)
    if (!proxyProtocol) return this.#serve(socket, undefined, undefined)
    const { clock } = this.#ports
    const header = new ProxyHeader(socket, this, clock.nowMs(), this.#context.limits.handshakeTimeoutMs)
    directTo(socket, header)
    this.#add(header, undefined)
  }

  #hasRoom(address: string | undefined): boolean {
    const { connections, connectionsPerClient } = this.#plan
    if (this.#table.size >= connections) return false
    if (address === undefined || connectionsPerClient === 0) return true
    return this.#table.countOf(clientOf(address)) < connectionsPerClient
  }

  #refuse(socket: Socket): void {
    this.#ports.onRefusedConnection()
    // A client that expects TLS could not read the answer.
    if (this.#tls === undefined) this.#crowd.give(socket, this.#ports.clock.nowMs())
    else socket.destroy()
  }

  #shakeHands(raw: Socket, peer: ConnectionPeer | undefined): void {
    const timeoutMs = this.#context.limits.handshakeTimeoutMs
    const handshake = new TlsHandshake(raw, this, this.#ports.clock.nowMs(), { timeoutMs, peer })
    this.#add(handshake, peer?.address ?? raw.remoteAddress ?? '')
    this.#tls?.begin(raw)
  }

  #secured(socket: TLSSocket, handshake: TlsHandshake): void {
    const peer = handshake.peer ?? { ...peerOf(socket), isSecure: true }
    const isHttp2 = socket.alpnProtocol === 'h2'
    const next = isHttp2 ? this.#speak2(socket, peer) : new Http1Connection(socket, this.#context, peer)
    this.#table.replace(handshake, next)
  }

  /** Takes a plain direct socket that has read `first` and nothing else. */
  #serve(socket: Socket, peer: ConnectionPeer | undefined, first: Buffer | undefined): void {
    let next: Http1Connection | Preface
    if (this.#plan.http2) {
      const known = peer ?? { ...peerOf(socket), isSecure: false }
      next = new Preface(socket, this, known, { nowMs: this.#ports.clock.nowMs(), limits: this.#context.limits })
    } else next = new Http1Connection(socket, this.#context, peer)
    directTo(socket, next)
    this.#add(next, peer?.address ?? socket.remoteAddress ?? '')
    if (first !== undefined && first.length > 0) next.received(first, first.length)
  }

  #speak2(socket: Socket, peer: ConnectionPeer): Http2Connection {
    return new Http2Connection(socket, this.#context, peer, this.#http2)
  }

  #add(connection: OpenConnection, address: string | undefined): void {
    this.#table.add(connection, address === undefined ? undefined : clientOf(address))
    this.#ports.onConnections(this.#table.size)
  }

  #sweepLater(): void {
    this.#ports.clock.after(sweepMs, () => {
      if (this.#closed) return
      this.#sweep(this.#ports.clock.nowMs())
      this.#sweepLater()
    })
  }

  #sweep(nowMs: number): void {
    this.#crowd.sweep(nowMs)
    this.#budget.enforce()
    const goneMs = nowMs - drainIdleMs
    const dropsIdle = this.#drainSinceMs <= goneMs
    for (const connection of this.#table.connections()) {
      if (dropsIdle && connection.idleSinceMs <= goneMs) connection.destroy()
      else connection.sweep(nowMs)
    }
  }
}

function peerOf(socket: Socket): { address: string; port: number } {
  return { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 }
}

/** Makes a direct socket one that a layer of Node's own can take over; `read` has been read and is put back. */
function handOver(socket: Socket, read: Buffer): void {
  disownSocket(socket)
  directTo(socket, undefined)
  socket.pause()
  if (read.length > 0) socket.unshift(Buffer.from(read))
}
