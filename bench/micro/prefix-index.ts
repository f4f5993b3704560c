/** Microseconds to hash a prompt and to find who holds it: `scripts/run node bench/micro/prefix-index.ts`. */
import { seededRng } from '#core/clock.ts'
import {
  type BlockChain,
  PrefixIndex,
  type PrefixMatch,
  prefixIndexMemory,
  prefixIndexSlots,
} from '#struct/prefix-index.ts'
import { noSalt, PromptHasher } from '#struct/prompt-hasher.ts'

const bytesPerToken = 4
const blockBytes = 256
const rng = seededRng(1)
const word = (): number => Math.floor(rng() * 2 ** 32) | 0

/** The quickest of many runs, in microseconds: other work on the machine only makes runs slower. */
function quickest(runs: number, run: (round: number) => void): number {
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < runs; round++) {
    const started = process.hrtime.bigint()
    run(round)
    best = Math.min(best, Number(process.hrtime.bigint() - started))
  }
  return best / 1000
}

/** The median of runs, in microseconds. */
function median(runs: number, run: (round: number) => void): number {
  const took: number[] = []
  for (let round = 0; round < runs; round++) {
    const started = process.hrtime.bigint()
    run(round)
    took.push(Number(process.hrtime.bigint() - started))
  }
  return (took.toSorted((a, b) => a - b)[runs >> 1] ?? Number.NaN) / 1000
}

function row(name: string, ...values: number[]): void {
  console.log(`${name.padEnd(44)}${values.map((value) => value.toFixed(1).padStart(10)).join('')}`)
}

/** What the same would cost in plain JavaScript: two lanes of 32 bits over words already aligned, not chained. */
function plainHash(words: Int32Array, out: Int32Array): void {
  const perBlock = blockBytes / 4
  for (let block = 0; (block + 1) * perBlock <= words.length; block++) {
    let a = 0
    let b = 0
    for (let i = block * perBlock; i < (block + 1) * perBlock; i++) {
      const value = words[i] as number
      a = Math.imul(a ^ value, 0x9e3779b1)
      a ^= a >>> 15
      b = Math.imul(b + value, 0x85ebca6b)
      b = (b << 13) | (b >>> 19)
    }
    out[2 * block] = a
    out[2 * block + 1] = b
  }
}

function hashing(): void {
  console.log('\nhashing (us, quickest run)                  prompt as is    plain JavaScript, aligned')
  const hasher = new PromptHasher()
  const out = new Int32Array(8192)
  for (const tokens of [1000, 10_000, 100_000]) {
    const body = Buffer.from(Array.from({ length: tokens * bytesPerToken + 200 }, () => 32 + Math.floor(rng() * 90)))
    const slices: Buffer[] = []
    for (let at = 0; at < body.length; at += 65_536) slices.push(body.subarray(at, at + 65_536))
    const spans = [{ start: 101, end: 101 + tokens * bytesPerToken }]
    const words = new Int32Array(body.buffer.slice(0, tokens * bytesPerToken))
    row(
      `${tokens} tokens, ${slices.length} slices`,
      quickest(5000, () => void hasher.hash(slices, spans, noSalt, out)),
      quickest(2000, () => plainHash(words, out)),
    )
  }
}

interface Setting {
  readonly endpoints: number
  readonly tokens: number
  /** Blocks that every endpoint holds. */
  readonly common: number
  /** Prompts in turn: with many of them the table is out of the processor's caches. */
  readonly prompts: number
}

function chainAfter(head: BlockChain, blocks: number): BlockChain {
  const hashes = Int32Array.from({ length: 2 * blocks }, word)
  hashes.set(head.hashes.subarray(0, 2 * Math.min(head.blocks, blocks)))
  return { hashes, blocks }
}

function matching(index: PrefixIndex, { endpoints, tokens, common, prompts }: Setting): void {
  const blocks = Math.floor((tokens * bytesPerToken) / blockBytes)
  const result: PrefixMatch = { matched: new Int32Array(prefixIndexSlots), inUse: new Int32Array(prefixIndexSlots) }
  const candidates = { slots: Int32Array.from({ length: endpoints }, (_, slot) => slot), count: endpoints }
  const head = { hashes: Int32Array.from({ length: 2 * common }, word), blocks: common }
  for (let slot = 0; slot < endpoints; slot++) {
    index.forget(slot)
    index.setCapacity(slot, 10_000_000)
  }
  index.sweep(200_000)
  for (let slot = 0; slot < endpoints; slot++) {
    index.dispatch(head, slot, 0)
    index.release(head, slot)
  }
  const chains = Array.from({ length: prompts }, () => chainAfter(head, blocks))
  // A prompt comes back to the endpoint that has it.
  const slotOf = (round: number): number => ((round % prompts) * 7) % endpoints
  const send = (round: number): number => {
    const chain = chains[round % prompts] as BlockChain
    const slot = slotOf(round)
    index.match(chain, candidates, result)
    index.dispatch(chain, slot, result.matched[slot] as number)
    return slot
  }
  for (let round = 0; round < prompts; round++) index.release(chains[round] as BlockChain, send(round))
  const measure = prompts > 10 ? median : quickest
  const runs = prompts > 10 ? prompts : 3000
  const match = measure(runs, (round) => {
    index.match(chains[round % prompts] as BlockChain, candidates, result)
  })
  const both = measure(runs, (round) => {
    send(round)
  })
  const ends = measure(runs, (round) => {
    index.confirm(chains[round % prompts] as BlockChain, slotOf(round))
    index.release(chains[round % prompts] as BlockChain, slotOf(round))
  })
  row(`${endpoints} endpoints, ${tokens} tokens, ${common} blocks common`, match, both, ends)
}

function memory(): void {
  const blocks = 1_000_000
  const shared = prefixIndexMemory({ blocks })
  const index = new PrefixIndex(shared)
  for (let slot = 0; slot < 64; slot++) index.setCapacity(slot, 64 * 15_625)
  const chain = { hashes: new Int32Array(200), blocks: 100 }
  const before = process.memoryUsage().rss
  const started = process.hrtime.bigint()
  const rss: number[] = []
  for (let round = 0; round < 100_000; round++) {
    for (let i = 0; i < 200; i++) chain.hashes[i] = word()
    const slot = round % 64
    index.dispatch(chain, slot, 0)
    index.release(chain, slot)
    // Every second block is held twice.
    if (round % 2 === 0) {
      index.dispatch(chain, (slot + 1) % 64, 0)
      index.release(chain, (slot + 1) % 64)
    }
    if (round % 25_000 === 24_999) rss.push((process.memoryUsage().rss - before) / 1e6)
  }
  const seconds = Number(process.hrtime.bigint() - started) / 1e9
  console.log(`\nmemory for ${blocks} blocks of 64 tokens: ${(shared.buffer.byteLength / 1e6).toFixed(1)} MB`)
  console.log(`10 million blocks, 15 million insertions in ${seconds.toFixed(1)} s: ${index.countBlocks()} entries,`)
  console.log(
    `${index.displaced} of them displaced others, resident MB after each quarter: ${rss.map(Math.round).join(' ')}`,
  )
}

hashing()
const index = new PrefixIndex(prefixIndexMemory({ blocks: 1_000_000 }))
const header = `${''.padEnd(44)}${['match', '+ dispatch', 'end'].map((name) => name.padStart(10)).join('')}`
for (const prompts of [4, 400]) {
  const how = prompts > 10 ? 'many prompts in turn, median' : 'the same few prompts, quickest run'
  console.log(`\nindex (us, ${how}); end: confirm and release\n${header}`)
  for (const endpoints of [10, 64, 100, 1000])
    for (const tokens of [1000, 10_000, 100_000])
      for (const common of [0, 16]) matching(index, { endpoints, tokens, common, prompts })
}
memory()
