import type { EndpointPlan, ModelServerPlan, Snapshot } from '#config/snapshot.ts'
import type { Clock } from '#core/clock.ts'
import { UpstreamConnection, type UpstreamOwner } from './upstream-connection.ts'
import { UpstreamTlsClient } from './upstream-tls.ts'

/** Idle connections kept per endpoint. */
const maxIdle = 512
/**
 * How long an idle connection is kept when the endpoint does not say: uvicorn, under vLLM and SGLang, closes after 5 s
 * (model-servers.md 1.1.3), and a request sent into that moment has to be repeated.
 */
const defaultIdleMs = 4_000
/** However long an endpoint announces: what stands between may have forgotten the connection by then. */
const longestIdleMs = 120_000
const sweepMs = 1_000
const readBufferBytes = 64 * 1024

/** Connections to one endpoint: idle ones are reused last in, first out, so that the surplus ages and goes. */
export class UpstreamPool implements UpstreamOwner {
  readonly #endpoint: EndpointPlan
  readonly #tls: UpstreamTlsClient | undefined
  readonly #clock: Clock
  readonly #readBuffer: Uint8Array
  readonly #idle: UpstreamConnection[] = []
  #open = 0
  #closed = false

  constructor(modelServer: ModelServerPlan, endpoint: EndpointPlan, clock: Clock, readBuffer: Uint8Array) {
    this.#endpoint = endpoint
    this.#tls = modelServer.tls && new UpstreamTlsClient(endpoint, modelServer.tls)
    this.#clock = clock
    this.#readBuffer = readBuffer
  }

  /** Connections open now, idle or not. */
  get open(): number {
    return this.#open
  }

  /** An idle connection, or a new one that is still connecting. */
  acquire(): UpstreamConnection {
    return this.#idle.pop() ?? this.connect()
  }

  /** A new connection: for a retry after an idle one turned out to be dead. */
  connect(): UpstreamConnection {
    this.#open++
    return new UpstreamConnection(this.#endpoint, this.#tls, this, this.#readBuffer)
  }

  released(connection: UpstreamConnection): void {
    if (this.#closed || this.#idle.length >= maxIdle) {
      connection.destroy()
      return
    }
    connection.idleSinceMs = this.#clock.nowMs()
    this.#idle.push(connection)
  }

  closed(connection: UpstreamConnection): void {
    this.#open--
    const at = this.#idle.indexOf(connection)
    if (at >= 0) this.#idle.splice(at, 1)
  }

  /** Drops connections that have been idle too long: the oldest stand first. */
  sweep(nowMs: number): void {
    let expired = 0
    for (const connection of this.#idle) {
      const announced = connection.keepAliveMs
      const idleMs = announced === undefined ? defaultIdleMs : Math.min(Math.max(announced - 1_000, 0), longestIdleMs)
      if (nowMs - connection.idleSinceMs < idleMs) break
      expired++
    }
    for (const connection of this.#idle.splice(0, expired)) connection.destroy()
  }

  /** Drops idle connections now and the others when their answer is complete. */
  close(): void {
    this.#closed = true
    this.sweep(Number.POSITIVE_INFINITY)
  }
}

/** The pools of one thread, by endpoint. */
export class UpstreamPools {
  readonly #clock: Clock
  readonly #readBuffer = Buffer.allocUnsafeSlow(readBufferBytes)
  #pools = new Map<string, UpstreamPool>()
  /** The same by plan object, because a request holds its plan and building the key costs more than the rest. */
  #byPlan = new WeakMap<EndpointPlan, UpstreamPool>()
  #closed = false

  constructor(clock: Clock) {
    this.#clock = clock
    this.#sweepLater()
  }

  /** The pool of an endpoint; made when first asked for. */
  of(modelServer: ModelServerPlan, endpoint: EndpointPlan): UpstreamPool {
    const known = this.#byPlan.get(endpoint)
    if (known !== undefined) return known
    const key = poolKey(modelServer, endpoint)
    let pool = this.#pools.get(key)
    if (pool === undefined) {
      pool = new UpstreamPool(modelServer, endpoint, this.#clock, this.#readBuffer)
      this.#pools.set(key, pool)
    }
    this.#byPlan.set(endpoint, pool)
    return pool
  }

  /** Keeps the pools of endpoints that are still configured (with the same TLS settings), closes the others. */
  applySnapshot(snapshot: Snapshot): void {
    const kept = new Map<string, UpstreamPool>()
    for (const modelServer of snapshot.modelServers) {
      for (const endpoint of modelServer.endpoints) {
        const key = poolKey(modelServer, endpoint)
        const pool = this.#pools.get(key)
        if (pool !== undefined) kept.set(key, pool)
      }
    }
    for (const [key, pool] of this.#pools) if (!kept.has(key)) pool.close()
    this.#pools = kept
    this.#byPlan = new WeakMap()
  }

  /** Connections open now. */
  get open(): number {
    let open = 0
    for (const pool of this.#pools.values()) open += pool.open
    return open
  }

  /** Drops everything that is idle and keeps nothing from now on. */
  close(): void {
    this.#closed = true
    for (const pool of this.#pools.values()) pool.close()
  }

  #sweepLater(): void {
    this.#clock.after(sweepMs, () => {
      if (this.#closed) return
      const nowMs = this.#clock.nowMs()
      for (const pool of this.#pools.values()) pool.sweep(nowMs)
      this.#sweepLater()
    })
  }
}

function poolKey(modelServer: ModelServerPlan, endpoint: EndpointPlan): string {
  const { tls } = modelServer
  const secured = tls && [tls.serverName, tls.insecureSkipVerify, tls.ca, tls.certificate]
  return JSON.stringify([modelServer.key, endpoint.id, endpoint.generation, secured])
}
