import type { Snapshot } from '#config/snapshot.ts'
import type { Timer } from '#core/clock.ts'
import type { ScraperPorts, ScrapeStatus } from './scrape-ports.ts'
import { ScrapeSource } from './scrape-source.ts'
import { sourcesOf } from './source-plan.ts'

/** Reads the load and health of all endpoints of a snapshot, again and again, into the endpoint table. */
export interface Scraper {
  /** Follows a snapshot: endpoints that stay go on undisturbed, others begin or end. */
  apply(snapshot: Snapshot): void
  /** One entry per endpoint that is scraped or probed, in the order of the snapshot. */
  status(): ScrapeStatus[]
  /** Whether every endpoint of the snapshot has answered or failed at least once. */
  isFirstRoundDone(): boolean
  /** Ends all requests and connections. What was written stays. */
  close(): void
}

/** Bounds of the time between two looks at what is due. */
const minTickMs = 5
const maxTickMs = 50

/** A fifth of the shortest interval: coarse enough to begin several scrapes at a time, fine enough to keep the pace. */
const ticksPerInterval = 5

/** Successive multiples of the golden ratio, modulo one, stay evenly spread however many there are. */
const goldenRatio = 0.6180339887498949

/** Creates a scraper; nothing happens before the first `apply`. */
export function createScraper(ports: ScraperPorts): Scraper {
  return new SourceLoop(ports)
}

class SourceLoop implements Scraper {
  readonly #ports: ScraperPorts
  readonly #sources = new Map<string, ScrapeSource>()
  #phase: number
  #tickMs = maxTickMs
  #timer: Timer | undefined = undefined

  constructor(ports: ScraperPorts) {
    this.#ports = ports
    this.#phase = ports.rng()
  }

  apply(snapshot: Snapshot): void {
    const wanted = sourcesOf(snapshot)
    for (const [key, source] of this.#sources) {
      if (wanted.has(key)) continue
      source.close()
      this.#sources.delete(key)
    }
    let shortestMs = Number.POSITIVE_INFINITY
    for (const [key, { plan, endpoints }] of wanted) {
      const source = this.#sources.get(key) ?? new ScrapeSource(plan, this.#ports, this.#nextPhase())
      this.#sources.set(key, source)
      source.setEndpoints(endpoints)
      shortestMs = Math.min(shortestMs, source.intervalMs)
    }
    this.#setTick(Math.min(maxTickMs, Math.max(minTickMs, shortestMs / ticksPerInterval)))
  }

  status(): ScrapeStatus[] {
    const nowMs = this.#ports.clock.nowMs()
    return [...this.#sources.values()].flatMap((source) => source.statuses(nowMs))
  }

  isFirstRoundDone(): boolean {
    for (const source of this.#sources.values()) if (!source.isTried) return false
    return true
  }

  close(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    for (const source of this.#sources.values()) source.close()
    this.#sources.clear()
  }

  /** A timer that is running already goes on when it fits, however often the configuration is swapped. */
  #setTick(tickMs: number): void {
    if (this.#timer !== undefined && this.#tickMs === tickMs && this.#sources.size > 0) return
    this.#timer?.cancel()
    this.#timer = undefined
    this.#tickMs = tickMs
    if (this.#sources.size > 0) this.#schedule()
  }

  #schedule(): void {
    this.#timer = this.#ports.clock.after(this.#tickMs, () => {
      const nowMs = this.#ports.clock.nowMs()
      for (const source of this.#sources.values()) source.tick(nowMs)
      this.#schedule()
    })
  }

  #nextPhase(): number {
    this.#phase = (this.#phase + goldenRatio) % 1
    return this.#phase
  }
}
