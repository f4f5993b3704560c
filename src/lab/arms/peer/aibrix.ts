import { definePeer, leastAmong, mostAmong, type Situation } from '#lab/arms/peer-arm.ts'

const scrapeMs = 50

interface Gate {
  readonly imbalance: number
  readonly sigmas: number
}

/** `prefix-cache`, steps 5 to 7 of aibrix-and-others.md A2.4. */
function prefixCache({ matched, account, usable }: Situation, costs: Float64Array, { imbalance, sigmas }: Gate): void {
  const { requests } = account
  const least = leastAmong(requests, usable)
  const most = mostAmong(requests, usable)
  const mean = usable.reduce((sum, i) => sum + requests[i]!, 0) / usable.length
  const deviation = Math.sqrt(usable.reduce((sum, i) => sum + (requests[i]! - mean) ** 2, 0) / usable.length)
  const isUneven = most - least > imbalance
  const mayServe = (i: number): boolean =>
    isUneven ? requests[i] === least : matched[i]! > 0 && requests[i]! <= mean + sigmas * deviation
  let isAny = false
  for (const i of usable) {
    const may = mayServe(i)
    isAny ||= may
    // More matched comes first; a million requests do not outweigh one token.
    costs[i] = may ? -matched[i]! * 1e6 + requests[i]! : Number.POSITIVE_INFINITY
  }
  if (!isAny) for (const i of usable) costs[i] = requests[i]!
}

/** Mean of a quantity over all answers of an endpoint, as the histograms of an engine give it; 0 before the first. */
class LifetimeMean {
  readonly #sums: Float64Array
  readonly #counts: Float64Array

  constructor(size: number) {
    this.#sums = new Float64Array(size)
    this.#counts = new Float64Array(size)
  }

  add(endpoint: number, value: number): void {
    this.#sums[endpoint] = (this.#sums[endpoint] ?? 0) + value
    this.#counts[endpoint] = (this.#counts[endpoint] ?? 0) + 1
  }

  of(endpoint: number): number {
    const count = this.#counts[endpoint] ?? 0
    return count === 0 ? 0 : (this.#sums[endpoint] ?? 0) / count
  }

  /** Over all endpoints; `otherwise` before the first. */
  overall(otherwise: number): number {
    const count = this.#counts.reduce((sum, each) => sum + each, 0)
    return count === 0 ? otherwise : this.#sums.reduce((sum, each) => sum + each, 0) / count
  }
}

/** AIBrix's strategies that need no disaggregation (aibrix-and-others.md A2.3, A2.4). */
export const aibrixArms = [
  definePeer({
    name: 'aibrix-prefix',
    summary: 'longest match up to mean + 2 deviations of requests, else least-request; 16 imbalance gate',
    source: 'AIBrix prefix-cache, values of its chart (code: 8 and 1); aibrix-and-others.md A2.4',
    parameters: {
      imbalance: { meaning: 'difference in requests that turns affinity off', value: 16, grid: [8, 16, 32, 64] },
      sigmas: {
        meaning: 'standard deviations of requests above the mean that may serve',
        value: 2,
        grid: [0.5, 1, 2, 4],
      },
    },
    formula: (gate) => ({ cost: (situation, costs) => prefixCache(situation, costs, gate) }),
  }),
  definePeer({
    name: 'aibrix-kv',
    summary: 'least KV memory in use, pages every 50 ms',
    source: 'AIBrix least-kv-cache; aibrix-and-others.md A2.3 (random there for engines without CPU cache figures)',
    scrapeMs,
    parameters: {},
    formula: () => ({
      cost({ scraped, usable }, costs) {
        for (const i of usable) costs[i] = scraped.kvUse[i]!
      },
    }),
  }),
  definePeer({
    name: 'aibrix-latency',
    summary: 'least mean queueing + prefill + decode time so far, scaled to the mean request',
    source: 'AIBrix least-latency as documented; aibrix-and-others.md A2.3',
    parameters: {},
    formula(_values, { settings }) {
      const mean = (): LifetimeMean => new LifetimeMean(settings.length)
      const [queueMs, prefill, decode, prompt, output] = [mean(), mean(), mean(), mean(), mean()]
      return {
        cost({ usable }, costs) {
          const [promptTokens, outputTokens] = [prompt.overall(10), output.overall(100)]
          for (const i of usable) {
            const prefillMs = (prefill.of(i) / (prompt.of(i) || 1)) * promptTokens
            costs[i] = queueMs.of(i) + prefillMs + (decode.of(i) / (output.of(i) || 1)) * outputTokens
          }
        },
        finished({ call, endpoint }) {
          queueMs.add(endpoint, call.admittedMs - call.arrivedMs)
          prefill.add(endpoint, call.firstTokenMs - call.admittedMs)
          decode.add(endpoint, call.lastTokenMs - call.firstTokenMs)
          prompt.add(endpoint, call.request.promptTokens)
          output.add(endpoint, call.producedTokens)
        },
      }
    },
  }),
]
