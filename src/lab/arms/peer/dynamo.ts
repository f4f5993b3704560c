import { definePeer, leastAmong, type Situation } from '#lab/arms/peer-arm.ts'

/** Tokens still to prefill at an endpoint with this request, its cached part credited; never below 0. */
function prefillTokens({ account, promptTokens, matched }: Situation, i: number, credit: number): number {
  return Math.max(0, account.queuedTokens[i]! + promptTokens - credit * matched[i]!)
}

/** NVIDIA Dynamo's KV router with KV events that take no time (routing-algorithms.md 2.3), counted in tokens instead of blocks. */
export const dynamoArms = [
  definePeer({
    name: 'dynamo',
    summary: 'uncached prefill + distinct blocks in use, KV events without delay',
    source: 'Dynamo KV router defaults; routing-algorithms.md 2.3',
    hasEvents: true,
    countsBlocks: true,
    parameters: {
      credit: { meaning: 'credit for a cached token', value: 1, grid: [1, 1.5, 2] },
      decay: { meaning: 'how fast the credit fades where the queue is longer', value: 0, grid: [0, 0.5, 2] },
      scale: { meaning: 'weight of prefill against blocks in use', value: 1, grid: [0.5, 1, 2, 4, 8] },
      perRequest: { meaning: 'blocks that each request in flight adds', value: 0, grid: [0, 4, 16, 64] },
    },
    decodeTokensPerRequest: ({ perRequest }, blockSize) => perRequest * blockSize,
    formula: ({ credit, decay, scale, perRequest }) => ({
      cost(situation, costs) {
        const { promptTokens, account, activeTokens, blockSize, usable } = situation
        const shortest = leastAmong(account.queuedTokens, usable)
        for (const i of usable) {
          const longer = account.queuedTokens[i]! - shortest
          const faded = credit / (1 + (decay * longer) / promptTokens)
          const requests = perRequest * blockSize * account.requests[i]!
          costs[i] = scale * prefillTokens(situation, i, faded) + activeTokens[i]! + requests
        }
      },
    }),
  }),
  definePeer({
    name: 'dynamo-lmetric',
    summary: 'uncached prefill x distinct blocks in use, KV events without delay',
    source: "Dynamo's lmetric option; routing-algorithms.md 2.3",
    hasEvents: true,
    countsBlocks: true,
    parameters: {
      credit: { meaning: 'credit for a cached token', value: 1, grid: [1, 1.5, 2] },
    },
    decodeTokensPerRequest: () => 0,
    formula: ({ credit }) => ({
      cost(situation, costs) {
        for (const i of situation.usable) {
          const blocks = situation.activeTokens[i]! / situation.blockSize
          costs[i] = prefillTokens(situation, i, credit) * (blocks + 1)
        }
      },
    }),
  }),
]
