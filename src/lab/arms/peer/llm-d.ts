import { definePeer, type Formula, leastAmong, mostAmong, type Situation } from '#lab/arms/peer-arm.ts'

/**
 * llm-d's no-hit-lru-scorer (endpoint-picker.md 4.3): 0.5 for all when any endpoint has a hit; a cold request prefers endpoints
 * that never had one, then those that had one longest ago.
 */
class ColdOrder {
  /** Endpoints that were given a cold request, the one longest ago first. */
  readonly #given: number[] = []

  score(size: number, isCold: boolean, endpoint: number): number {
    if (!isCold) return 0.5
    if (size < 2) return 1
    const position = this.#given.indexOf(endpoint)
    const neverUsed = size - this.#given.length
    const rank = position < 0 ? this.#rankUnused(endpoint) : neverUsed + position
    return 1 - rank / (size - 1)
  }

  placed(endpoint: number): void {
    const before = this.#given.indexOf(endpoint)
    if (before >= 0) this.#given.splice(before, 1)
    this.#given.push(endpoint)
  }

  #rankUnused(endpoint: number): number {
    return endpoint - this.#given.filter((each) => each < endpoint).length
  }
}

interface Weights {
  readonly queue: number
  readonly kv: number
  readonly prefix: number
  readonly lru: number
}

function weightedSum({ queue, kv, prefix, lru }: Weights): Formula {
  const order = new ColdOrder()
  const isCold = ({ matched, usable }: Situation): boolean => usable.every((i) => matched[i] === 0)
  return {
    cost(situation, costs) {
      const { promptTokens, matched, scraped, usable } = situation
      const least = leastAmong(scraped.waiting, usable)
      const most = mostAmong(scraped.waiting, usable)
      const cold = lru > 0 && isCold(situation)
      for (const i of usable) {
        const short = most === least ? 1 : (most - scraped.waiting[i]!) / (most - least)
        const free = 1 - scraped.kvUse[i]!
        const rest = lru > 0 ? lru * order.score(costs.length, cold, i) : 0
        costs[i] = -(queue * short + kv * free + (prefix * matched[i]!) / promptTokens + rest)
      }
    },
    placed(situation, endpoint) {
      if (lru > 0 && isCold(situation)) order.placed(endpoint)
    },
  }
}

const scrapeMs = 50

/** llm-d's default profile, its performance configuration, and its guide since the middle of 2026 (routing-algorithms.md 2.2). */
export const llmdArms = [
  definePeer({
    name: 'llm-d',
    summary: '2 queue + 2 free KV + 3 prefix, pages every 50 ms',
    source: 'llm-d default profile; routing-algorithms.md 2.2, endpoint-picker.md 4.1',
    scrapeMs,
    parameters: {
      queue: { meaning: 'weight of the short queue', value: 2, grid: [1, 2, 4] },
      kv: { meaning: 'weight of free KV memory', value: 2, grid: [0.5, 2, 6] },
      prefix: { meaning: 'weight of the cached part of the prompt', value: 3, grid: [1, 3, 6, 12] },
    },
    formula: (weights) => weightedSum({ ...weights, lru: 0 }),
  }),
  definePeer({
    name: 'llm-d-lru',
    summary: 'llm-d and its no-hit-lru scorer with weight 2: cold prompts take turns',
    source: 'llm-d performance configuration; routing-algorithms.md 2.2, endpoint-picker.md 4.3',
    scrapeMs,
    parameters: {
      queue: { meaning: 'weight of the short queue', value: 2, grid: [1, 2, 4] },
      kv: { meaning: 'weight of free KV memory', value: 2, grid: [0.5, 2, 6] },
      prefix: { meaning: 'weight of the cached part of the prompt', value: 3, grid: [1, 3, 6, 12] },
      lru: { meaning: 'weight of the turn of cold prompts', value: 2, grid: [1, 2, 4] },
    },
    formula: weightedSum,
  }),
  definePeer({
    name: 'llm-d-tokens',
    summary: 'prefix held to 0.8, then fewest queued and uncached tokens',
    source: 'llm-d guide, PR 2071; routing-algorithms.md 2.2',
    parameters: {
      threshold: { meaning: 'cached part of the prompt that binds it', value: 0.8, grid: [0.5, 0.65, 0.8, 0.9] },
      gateMs: {
        meaning: 'predicted TTFT lost by staying, ms, beyond which it moves',
        value: 18_000,
        grid: [500, 2_000, 6_000, 18_000],
      },
      peakTokensPerMs: { meaning: 'prefill speed, tokens per ms', value: 15.928, grid: [8, 15.928, 32] },
    },
    formula: ({ threshold, gateMs, peakTokensPerMs }) => ({
      cost({ promptTokens, matched, account, usable }, costs) {
        let sticky = Number.POSITIVE_INFINITY
        let others = Number.POSITIVE_INFINITY
        const isSticky = (i: number): boolean => matched[i]! / promptTokens >= threshold
        for (const i of usable) {
          const tokens = account.queuedTokens[i]! + promptTokens - matched[i]!
          costs[i] = tokens
          if (isSticky(i)) sticky = Math.min(sticky, tokens)
          else others = Math.min(others, tokens)
        }
        if (sticky === Number.POSITIVE_INFINITY || (sticky - others) / peakTokensPerMs > gateMs) return
        for (const i of usable) if (!isSticky(i)) costs[i] = Number.POSITIVE_INFINITY
      },
    }),
  }),
]
