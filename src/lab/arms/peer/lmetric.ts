import { definePeer, type Formula } from '#lab/arms/peer-arm.ts'

/** Last rates of an endpoint, and how many must be known before they count. */
const rateWindow = 64
const leastRates = 8

interface SmetricValues {
  readonly hitRatio: number
  readonly slack: number
  readonly objectiveMs: number
  readonly objectivePerTokenMs: number
}

/** Prefill speeds of the endpoints as first tokens show them: the 90th percentile of the last {@link rateWindow}. */
class PrefillRates {
  readonly #samples: readonly number[][]

  constructor(size: number) {
    this.#samples = Array.from({ length: size }, () => [])
  }

  add(endpoint: number, tokensPerMs: number): void {
    const samples = this.#samples[endpoint]
    if (samples === undefined || !(tokensPerMs > 0)) return
    if (samples.length === rateWindow) samples.shift()
    samples.push(tokensPerMs)
  }

  /** Tokens per ms; infinity while too few are known. */
  of(endpoint: number): number {
    const samples = this.#samples[endpoint] ?? []
    if (samples.length < leastRates) return Number.POSITIVE_INFINITY
    return samples.toSorted((a, b) => a - b)[Math.round((samples.length - 1) * 0.9)] ?? Number.POSITIVE_INFINITY
  }
}

function smetric({ hitRatio, slack, objectiveMs, objectivePerTokenMs }: SmetricValues, size: number): Formula {
  const rates = new PrefillRates(size)
  /** Prompt tokens of the last turn of each session. */
  const lastTurns = new Map<number, number>()
  const work = new Map<object, number>()
  return {
    cost({ arrival, promptTokens, matched, account, usable }, costs) {
      const withinMs = slack * (objectiveMs + objectivePerTokenMs * promptTokens)
      let best = -1
      let isBestInTime = false
      let isAnyInTime = false
      for (const i of usable) {
        const queued = account.queuedTokens[i]! + promptTokens - matched[i]!
        const isInTime = queued / rates.of(i) <= withinMs
        costs[i] = queued * account.requests[i]!
        isAnyInTime ||= isInTime
        if (best >= 0 && matched[i]! <= matched[best]!) continue
        best = i
        isBestInTime = isInTime
      }
      const lastTurn = lastTurns.get(arrival.session ?? -1) ?? Number.POSITIVE_INFINITY
      const isHeld = matched[best]! > hitRatio * lastTurn && (isBestInTime || !isAnyInTime)
      if (!isHeld) return
      for (const i of usable) costs[i] = i === best ? 0 : 1
    },
    placed({ arrival, promptTokens, matched }, endpoint) {
      work.set(arrival, promptTokens - matched[endpoint]!)
      if (arrival.session !== undefined) lastTurns.set(arrival.session, promptTokens)
    },
    firstToken({ arrival, endpoint }, atMs) {
      const tokens = work.get(arrival)
      if (tokens !== undefined) rates.add(endpoint, tokens / (atMs - arrival.atMs))
      work.delete(arrival)
    },
    finished: ({ arrival }) => void work.delete(arrival),
    failed: ({ arrival }) => void work.delete(arrival),
  }
}

/** LMetric's product, and SMetric, which gates it by session (routing-algorithms.md 2.4). */
export const lmetricArms = [
  definePeer({
    name: 'lmetric',
    summary: 'uncached tokens queued x requests in flight',
    source: 'arXiv:2603.15202; routing-algorithms.md 2.4',
    // It has no weights: scale factors cancel in a product.
    parameters: {},
    formula: () => ({
      cost({ promptTokens, matched, account, usable }, costs) {
        for (const i of usable) {
          costs[i] = (account.queuedTokens[i]! + promptTokens - matched[i]!) * account.requests[i]!
        }
      },
    }),
  }),
  definePeer({
    name: 'smetric',
    summary: 'a session stays while half of its last turn is cached and TTFT is met, else lmetric',
    source: 'vLLM router policy smetric, defaults of its documentation; routing-algorithms.md 2.4',
    parameters: {
      hitRatio: { meaning: 'part of the last turn that must be cached to stay', value: 0.5, grid: [0.25, 0.5, 0.75] },
      slack: { meaning: 'times the TTFT objective that is tolerated', value: 1, grid: [0.5, 1, 2, 4] },
      objectiveMs: { meaning: 'TTFT objective, ms', value: 1_000, grid: [1_000] },
      objectivePerTokenMs: { meaning: 'TTFT objective per prompt token, ms', value: 0.0625, grid: [0.0625] },
    },
    formula: (values, { settings }) => smetric(values, settings.length),
  }),
]
