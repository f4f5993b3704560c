import { definePeer, type Situation } from '#lab/arms/peer-arm.ts'

/** A number that key and endpoint alone decide: the least is the key's first choice. */
function rank(key: number, endpoint: number): number {
  let mixed = Math.imul(
    ((key % 4294967296) ^ Math.floor(key / 4294967296)) + Math.imul(endpoint + 1, 0x9e3779b1),
    0x85ebca6b,
  )
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

/** Hash of the first tokens of a prompt; of what there is of a shorter one. */
function keyOf({ arrival, blockSize }: Situation, keyTokens: number): number {
  const { blockHashes, promptTokens } = arrival.request
  return blockHashes[Math.floor(Math.min(keyTokens, promptTokens) / blockSize) - 1] ?? 0
}

/** A second order of the endpoints of a key has numbers of its own. */
const secondOrder = 1 << 16

/** The two first choices of a key: the best by {@link rank}, and the best of the others by an independent order. */
function twoChoices(key: number, usable: readonly number[]): readonly [number, number] {
  let first = -1
  for (const i of usable) if (first < 0 || rank(key, i) < rank(key, first)) first = i
  let second = -1
  for (const i of usable) {
    if (i !== first && (second < 0 || rank(key, i + secondOrder) < rank(key, second + secondOrder))) second = i
  }
  return [first, second < 0 ? first : second]
}

/** Placement by a hash of the beginning of a prompt (routing-algorithms.md 2.6). */
export const hashingArms = [
  definePeer({
    name: 'bounded-hash',
    summary: 'consistent hash of the first 256 tokens, load at most 1.25 x mean',
    source: 'consistent hashing with bounded loads; key as in SMG prefix_hash; routing-algorithms.md 2.6',
    parameters: {
      keyTokens: { meaning: 'tokens that are hashed', value: 256, grid: [64, 256, 1_024, 4_096] },
      loadFactor: { meaning: 'requests at most, times the mean', value: 1.25, grid: [1.1, 1.25, 1.5, 2] },
    },
    formula: ({ keyTokens, loadFactor }) => ({
      cost(situation, costs) {
        const { usable } = situation
        const { requests } = situation.account
        const key = keyOf(situation, keyTokens)
        const total = usable.reduce((sum, i) => sum + requests[i]!, 0)
        const bound = Math.ceil((loadFactor * (total + 1)) / usable.length)
        for (const i of usable) {
          costs[i] = requests[i]! + 1 <= bound ? rank(key, i) : Number.POSITIVE_INFINITY
        }
      },
    }),
  }),
  definePeer({
    name: 'dualmap',
    summary: 'two hashes of the prefix: the one with more cache while its TTFT is met, else the less loaded',
    source: 'arXiv:2602.06502; routing-algorithms.md 2.6; key length and objective are chosen here, nothing migrates',
    parameters: {
      keyTokens: { meaning: 'tokens that are hashed', value: 1_024, grid: [256, 1_024, 4_096] },
      objectiveMs: { meaning: 'predicted TTFT up to which cache decides, ms', value: 2_000, grid: [500, 2_000, 8_000] },
    },
    formula: ({ keyTokens, objectiveMs }, { settings }) => ({
      cost(situation, costs) {
        const { matched, account, promptTokens, usable } = situation
        const [first, second] = twoChoices(keyOf(situation, keyTokens), usable)
        const queued = (i: number): number => account.queuedTokens[i]! + promptTokens - matched[i]!
        const lighter = queued(second) < queued(first) ? second : first
        const [ofFirst, ofSecond] = [matched[first] ?? 0, matched[second] ?? 0]
        const cached = ofFirst > ofSecond ? first : ofSecond > ofFirst ? second : lighter
        const ttftMs = (queued(cached) * (settings[cached]?.cost.perTokenUs ?? 0)) / 1e3
        costs[ttftMs <= objectiveMs ? cached : lighter] = 0
      },
    }),
  }),
]
