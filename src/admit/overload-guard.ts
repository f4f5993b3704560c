import type { Limits } from '#config/snapshot.ts'
import type { Clock, Rng, Timer } from '#core/clock.ts'
import { type Refusal, refuse } from '#core/refusal.ts'
import type { MemoryReading } from './process-memory.ts'

/** What a thread can be short of. */
export const overloadCauses = ['lag', 'memory', 'heap'] as const

/** One of `overloadCauses`. */
export type OverloadCause = (typeof overloadCauses)[number]

/** What the guard needs. */
export interface OverloadPorts {
  readonly clock: Clock
  readonly rng: Rng
  readonly limits: Limits
  /** Read four times a second. */
  readonly readMemory: () => MemoryReading
  /** Requests that this thread is working on. */
  readonly active: () => number
  /** Told when shedding for a cause begins and ends. */
  readonly onChange: (cause: OverloadCause, isShedding: boolean) => void
}

/** How often the thread's lateness is looked at. */
const tickMs = 50
/** Memory is read with every so manieth tick: a reading takes 30 us. */
const ticksPerReading = 5
/**
 * So many looks in a row must find a bound exceeded. One pause, a collection of the whole heap say, is late once: what
 * waited for it is then served quicker than it could be refused and asked again.
 */
const looksBeforeShedding = 2
/** So many looks in a row must find it well below the bound before new requests are taken again. */
const looksBeforeRelief = 4
/** "Well below": lag may be half of the limit, memory so much of it. */
const relievedLag = 0.5
const relievedMemory = 0.97
/** Share of the heap that V8 allows from which on collections take most of the time. */
const heapShare = 0.9

const messages: Readonly<Record<OverloadCause, string>> = {
  lag: 'This gateway has more to do than it can at the moment. Try again shortly.',
  memory: 'This gateway is short of memory at the moment. Try again shortly.',
  heap: 'This gateway is short of memory at the moment. Try again shortly.',
}

/**
 * Sheds new requests before the thread suffers: while its timers come late, while the process holds too much memory, or
 * while the thread's own heap is nearly full. Requests under way go on. A guard against memory never refuses the only
 * request of a thread, so that memory which is not given back cannot close the gateway for good.
 */
export class OverloadGuard {
  readonly #ports: OverloadPorts
  readonly #causes: Readonly<Record<OverloadCause, Cause>>
  #limits: Limits
  #timer: Timer | undefined = undefined
  #ticks = 0

  constructor(ports: OverloadPorts) {
    this.#ports = ports
    this.#limits = ports.limits
    this.#causes = { lag: new Cause(), memory: new Cause(), heap: new Cause() }
    this.#arm()
  }

  /** Why no new request may begin now; undefined when one may. Costs nanoseconds. */
  refuseNew(): Refusal | undefined {
    const { lag, memory, heap } = this.#causes
    if (!lag.isShedding && !memory.isShedding && !heap.isShedding) return undefined
    const cause = lag.isShedding
      ? 'lag'
      : this.#ports.active() === 0
        ? undefined
        : memory.isShedding
          ? 'memory'
          : 'heap'
    if (cause === undefined) return undefined
    // Clients that were refused together must not all come back together.
    return refuse('overloaded', messages[cause], { retryAfterS: 1 + Math.floor(this.#ports.rng() * 3) })
  }

  /** Puts other limits in force. */
  configure(limits: Limits): void {
    this.#limits = limits
  }

  close(): void {
    this.#timer?.cancel()
  }

  #arm(): void {
    const { clock } = this.#ports
    const dueMs = clock.nowMs() + tickMs
    this.#timer = clock.after(tickMs, () => {
      this.#tick(clock.nowMs() - dueMs)
      this.#arm()
    })
  }

  #tick(lateMs: number): void {
    const { eventLoopDelayMs } = this.#limits
    this.#note('lag', eventLoopDelayMs === 0 ? 0 : lateMs / eventLoopDelayMs, relievedLag)
    if (this.#ticks++ % ticksPerReading !== 0) return
    const { residentBytes, availableBytes, heapUsedBytes, heapLimitBytes } = this.#ports.readMemory()
    if (residentBytes !== undefined) {
      this.#note('memory', residentBytes / (this.#limits.memoryBytes ?? availableBytes), relievedMemory)
    }
    this.#note('heap', heapUsedBytes / (heapLimitBytes * heapShare), relievedMemory)
  }

  /** `load` is 1 at the bound. */
  #note(name: OverloadCause, load: number, relieved: number): void {
    const cause = this.#causes[name]
    const before = cause.isShedding
    cause.look(load, relieved)
    if (cause.isShedding !== before) this.#ports.onChange(name, cause.isShedding)
  }
}

/** One bound with its hysteresis. */
class Cause {
  isShedding = false
  /** Looks in a row that speak for a change. */
  #looks = 0

  look(load: number, relieved: number): void {
    const speaksForChange = this.isShedding ? load <= relieved : load >= 1
    this.#looks = speaksForChange ? this.#looks + 1 : 0
    if (this.#looks < (this.isShedding ? looksBeforeRelief : looksBeforeShedding)) return
    this.isShedding = !this.isShedding
    this.#looks = 0
  }
}
