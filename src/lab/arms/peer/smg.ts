import { definePeer, leastAmong, mostAmong } from '#lab/arms/peer-arm.ts'

/** Shepherd Model Gateway's default policy, which the vLLM and SGLang routers share (routing-algorithms.md 2.5). */
export const smgArms = [
  definePeer({
    name: 'smg',
    summary: 'longest match above 0.3, else fewest requests; 64 / 1.5 imbalance gate',
    source: 'SMG cache_aware, defaults of its command line; aibrix-and-others.md C1.1',
    parameters: {
      threshold: { meaning: 'cached part of the prompt that decides', value: 0.3, grid: [0.1, 0.3, 0.5, 0.7] },
      gate: { meaning: 'difference in requests that turns affinity off', value: 64, grid: [8, 16, 32, 64, 128] },
      gateRatio: { meaning: 'and ratio of most to fewest requests', value: 1.5, grid: [1.1, 1.5, 2] },
    },
    formula: ({ threshold, gate, gateRatio }) => ({
      cost({ promptTokens, matched, account, usable }, costs) {
        const { requests } = account
        const most = mostAmong(requests, usable)
        const least = leastAmong(requests, usable)
        const isUneven = most - least > gate && most > gateRatio * least
        const isMatched = mostAmong(matched, usable) / promptTokens > threshold
        for (const i of usable) costs[i] = isUneven || !isMatched ? requests[i]! : -matched[i]!
      },
    }),
  }),
]
