import type { Clock } from '#core/clock.ts'
import type { Refusal } from '#core/refusal.ts'
import type { Gauge } from '#observe/metric-handles.ts'
import type { ForwardJob } from './forwarder.ts'
import type { RetryBudget } from './retry-budget.ts'
import { TunnelCall } from './tunnel-call.ts'

/** What the tunnels of a thread need. */
export interface TunnelPorts {
  readonly clock: Clock
  /** The one of the forwarder: tries are tries. */
  readonly budget: RetryBudget
  /** Gauge of the open tunnels of a model, as the client names it. */
  readonly open: (model: string) => Gauge
}

/** How often deadlines are looked at: their precision. */
const sweepMs = 100
const readBufferBytes = 64 * 1024

/** WebSocket tunnels of one thread. Owns the calls in flight and watches their deadlines with one timer. */
export class Tunnels {
  readonly ports: TunnelPorts
  /** All plain connections to engines read into the same memory: what is kept of it is copied by then. */
  readonly readBuffer: Uint8Array = Buffer.allocUnsafeSlow(readBufferBytes)
  readonly #calls: TunnelCall[] = []
  #sweeping = false

  constructor(ports: TunnelPorts) {
    this.ports = ports
  }

  /** Tunnels open or being opened. */
  get active(): number {
    return this.#calls.length
  }

  /** Opens a tunnel between a client that asks for WebSocket and an endpoint of the job's choice. */
  open(job: ForwardJob): void {
    const call = new TunnelCall(job, this)
    call.position = this.#calls.push(call) - 1
    if (!this.#sweeping) this.#sweepLater()
    this.ports.budget.request(job.outcome.receivedAtMs)
    call.start()
  }

  /** A call has ended. */
  done(call: TunnelCall): void {
    const last = this.#calls.pop()
    if (last === undefined || last === call) return
    this.#calls[call.position] = last
    last.position = call.position
  }

  /** Ends every tunnel: with a close frame to both sides where one can be put. For the end of a drain. */
  endAll(refusal: Refusal): void {
    for (const call of [...this.#calls]) call.giveUp(refusal)
  }

  #sweepLater(): void {
    this.#sweeping = true
    this.ports.clock.after(sweepMs, () => {
      const nowMs = this.ports.clock.nowMs()
      // From the end, because a call that ends now is replaced by the last one, which has been looked at.
      for (let i = this.#calls.length - 1; i >= 0; i--) this.#calls[i]?.checkDeadlines(nowMs)
      this.#sweeping = false
      if (this.#calls.length > 0) this.#sweepLater()
    })
  }
}
