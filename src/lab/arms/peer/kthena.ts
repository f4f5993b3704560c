import {
  definePeer,
  type Formula,
  type FormulaPorts,
  leastAmong,
  mostAmong,
  type Situation,
} from '#lab/arms/peer-arm.ts'

const scrapeMs = 1_000

/** The prefix scorer reads 128 blocks of 64 bytes, which are 16 tokens each. */
const readTokens = 128 * 16

/** A weight of the router's requests that an engine has not yet said it runs. */
const unseenFactor = 100

interface KthenaValues {
  readonly leastRequest: number
  readonly leastLatency: number
  readonly prefix: number
  readonly kv: number
  readonly ttftShare: number
  readonly maxWaiting: number
}

/** Mean of what was observed between two reads of the pages; an interval without an observation keeps the last value. */
class IntervalMean {
  /** NaN before the first. */
  readonly values: Float64Array
  readonly #sums: Float64Array
  readonly #counts: Float64Array

  constructor(size: number) {
    this.values = new Float64Array(size).fill(Number.NaN)
    this.#sums = new Float64Array(size)
    this.#counts = new Float64Array(size)
  }

  add(endpoint: number, value: number): void {
    this.#sums[endpoint] = (this.#sums[endpoint] ?? 0) + value
    this.#counts[endpoint] = (this.#counts[endpoint] ?? 0) + 1
  }

  read(): void {
    for (let i = 0; i < this.values.length; i++) {
      if (this.#counts[i]! > 0) this.values[i] = this.#sums[i]! / this.#counts[i]!
    }
    this.#sums.fill(0)
    this.#counts.fill(0)
  }

  /** Among some endpoints 100 for the least, 0 for the greatest, 100 when there is no spread. */
  score(i: number, among: readonly number[]): number {
    const least = leastAmong(this.values, among)
    const most = mostAmong(this.values, among)
    return most > least ? (100 * (most - this.values[i]!)) / (most - least) : 100
  }
}

class Kthena implements Formula {
  readonly #values: KthenaValues
  readonly #ttft: IntervalMean
  readonly #tpot: IntervalMean

  constructor(values: KthenaValues, { settings, clock }: FormulaPorts) {
    this.#values = values
    this.#ttft = new IntervalMean(settings.length)
    this.#tpot = new IntervalMean(settings.length)
    const read = (): void => {
      this.#ttft.read()
      this.#tpot.read()
      clock.after(scrapeMs, read)
    }
    clock.after(scrapeMs, read)
  }

  cost({ promptTokens, matched, account, scraped, usable }: Situation, costs: Float64Array): void {
    const { leastRequest, leastLatency, prefix, kv, maxWaiting } = this.#values
    const total = Math.min(promptTokens, readTokens)
    const base = (i: number): number => {
      const ours = account.requests[i]!
      return ours + unseenFactor * Math.max(0, ours - scraped.running[i]!)
    }
    let most = 0
    let isAny = false
    for (const i of usable) {
      most = Math.max(most, base(i))
      isAny ||= scraped.waiting[i]! < maxWaiting
    }
    const timed = usable.filter((i) => !Number.isNaN(this.#ttft.values[i]! + this.#tpot.values[i]!))
    for (const i of usable) {
      const requests = most === 0 ? 100 : Math.trunc((100 * (most - base(i))) / most)
      const cached = Math.trunc((100 * Math.min(total, matched[i]!)) / total)
      const free = Math.trunc((1 - scraped.kvUse[i]!) * 100)
      const score = leastRequest * requests + leastLatency * this.#latency(i, timed) + prefix * cached + kv * free
      costs[i] = isAny && scraped.waiting[i]! >= maxWaiting ? Number.POSITIVE_INFINITY : -score
    }
  }

  finished({ arrival, call, endpoint }: Parameters<NonNullable<Formula['finished']>>[0]): void {
    this.#ttft.add(endpoint, call.firstTokenMs - arrival.atMs)
    if (call.producedTokens < 2) return
    this.#tpot.add(endpoint, (call.lastTokenMs - call.firstTokenMs) / (call.producedTokens - 1))
  }

  #latency(i: number, timed: readonly number[]): number {
    const { ttftShare } = this.#values
    if (!timed.includes(i)) return 50
    return Math.trunc(ttftShare * this.#ttft.score(i, timed) + (1 - ttftShare) * this.#tpot.score(i, timed))
  }
}

/**
 * Kthena router's score plug-ins with the weights of its chart (kthena-router.md 4.2-4.4). Where its filter leaves none it
 * answers 503; here all endpoints are then scored.
 */
export const kthenaArms = [
  definePeer({
    name: 'kthena',
    summary: 'least-request + least-latency + prefix + free KV, whole points of 100, pages every second',
    source: 'Kthena router chart defaults; kthena-router.md 4.2-4.4',
    scrapeMs,
    learnsAtEnd: true,
    parameters: {
      leastRequest: { meaning: 'weight of few requests', value: 1, grid: [0.5, 1, 2] },
      leastLatency: { meaning: 'weight of short answers lately', value: 1, grid: [0, 0.25, 1] },
      prefix: { meaning: 'weight of the cached part of the first 2,048 tokens', value: 1, grid: [0.5, 1, 2, 4] },
      kv: { meaning: 'weight of free KV memory', value: 1, grid: [0, 1, 2] },
      ttftShare: { meaning: 'TTFT in short answers; the rest is TPOT', value: 0.5, grid: [0.5] },
      maxWaiting: { meaning: 'waiting requests from which an endpoint is left out', value: 10, grid: [2, 10, 40] },
    },
    formula: (values, ports) => new Kthena(values, ports),
  }),
]
