import { definePeer, type Formula, leastAmong, mostAmong, type Situation } from '#lab/arms/peer-arm.ts'
import type { EngineSettings } from '#sim/model/engine-settings.ts'
import { prefillMs } from './prefill-time.ts'

/** Tokens between two blocks that are remembered. */
const grainTokens = 64

/** What the published code assumes before it has seen an answer. */
const firstOutputTokens = 45
const firstTokenMs = 150

/** Weight of a new observation in a mean. */
const gain = 0.05

interface Remembered {
  atMs: number
  hits: number
}

/** Blocks that an endpoint holds, the one asked for longest ago first, with how often each was asked for. */
class RememberedBlocks {
  readonly #blocks = new Map<number, Remembered>()
  readonly #capacity: number
  readonly #blockMs: number

  constructor({ kvBlocks, blockSize, cost }: EngineSettings) {
    this.#capacity = Math.max(1, Math.floor((kvBlocks * blockSize) / grainTokens))
    this.#blockMs = prefillMs(cost, grainTokens, 0)
  }

  touch(hash: number, atMs: number, windowMs: number): void {
    const known = this.#blocks.get(hash)
    this.#blocks.delete(hash)
    const hits = known === undefined || atMs - known.atMs > windowMs ? 0 : known.hits
    this.#blocks.set(hash, { atMs, hits: hits + 1 })
  }

  /** Forgets what there is no room for. */
  trim(): void {
    for (const hash of this.#blocks.keys()) {
      if (this.#blocks.size <= this.#capacity) return
      this.#blocks.delete(hash)
    }
  }

  /** Prefill time lost by making room for so many tokens, each block as often as it was asked for within the window. */
  evictionMs(tokens: number, atMs: number, windowMs: number): number {
    let missing = this.#blocks.size + Math.ceil(tokens / grainTokens) - this.#capacity
    let lostMs = 0
    for (const block of this.#blocks.values()) {
      if (missing-- <= 0) break
      if (atMs - block.atMs <= windowMs) lostMs += block.hits * this.#blockMs
    }
    return lostMs
  }
}

/** Work that was placed within the window, per endpoint. */
class WindowLoad {
  readonly ms: Float64Array
  readonly #entries: { readonly atMs: number; readonly endpoint: number; readonly workMs: number }[] = []
  #first = 0

  constructor(size: number) {
    this.ms = new Float64Array(size)
  }

  add(endpoint: number, workMs: number, atMs: number): void {
    this.#entries.push({ atMs, endpoint, workMs })
    this.ms[endpoint] = (this.ms[endpoint] ?? 0) + workMs
  }

  forgetBefore(atMs: number): void {
    for (
      let next = this.#entries[this.#first];
      next !== undefined && next.atMs < atMs;
      next = this.#entries[++this.#first]
    ) {
      this.ms[next.endpoint] = (this.ms[next.endpoint] ?? 0) - next.workMs
    }
    if (this.#first > 4_096) this.#entries.splice(0, this.#first)
    if (this.#first > 4_096) this.#first = 0
  }
}

interface PrebleValues {
  readonly windowMs: number
  readonly exploitShare: number
  readonly redirect: number
}

class Preble implements Formula {
  readonly #values: PrebleValues
  readonly #settings: readonly EngineSettings[]
  readonly #load: WindowLoad
  readonly #blocks: readonly RememberedBlocks[]
  readonly #tokenMs: Float64Array
  #outputTokens = firstOutputTokens

  constructor(values: PrebleValues, settings: readonly EngineSettings[]) {
    this.#values = values
    this.#settings = settings
    this.#load = new WindowLoad(settings.length)
    this.#blocks = settings.map((each) => new RememberedBlocks(each))
    this.#tokenMs = new Float64Array(settings.length).fill(firstTokenMs)
  }

  cost(situation: Situation, costs: Float64Array): void {
    const { matched, promptTokens, arrival, usable } = situation
    const { windowMs, exploitShare } = this.#values
    this.#load.forgetBefore(arrival.atMs - windowMs)
    const best = mostAmong(matched, usable)
    if (best > exploitShare * promptTokens) {
      for (const i of usable) costs[i] = matched[i] === best ? this.#load.ms[i]! : Number.POSITIVE_INFINITY
      this.#redirect(costs, usable)
      return
    }
    for (const i of usable) {
      const lostMs = this.#blocks[i]!.evictionMs(promptTokens - matched[i]!, arrival.atMs, windowMs)
      costs[i] = this.#load.ms[i]! + lostMs + this.#prefillMs(situation, i)
    }
  }

  placed(situation: Situation, endpoint: number): void {
    const { arrival, blockSize, promptTokens } = situation
    const decodeMs = this.#outputTokens * (this.#tokenMs[endpoint] ?? 0)
    this.#load.add(endpoint, this.#prefillMs(situation, endpoint) + decodeMs, arrival.atMs)
    const { blockHashes } = arrival.request
    const blocks = this.#blocks[endpoint]
    const step = Math.max(1, Math.round(grainTokens / blockSize))
    const end = Math.min(blockHashes.length, Math.floor(promptTokens / blockSize))
    for (let at = step; at <= end; at += step)
      blocks?.touch(blockHashes[at - 1] ?? 0, arrival.atMs, this.#values.windowMs)
    blocks?.trim()
  }

  finished({ call, endpoint }: Parameters<NonNullable<Formula['finished']>>[0]): void {
    this.#outputTokens += gain * (call.producedTokens - this.#outputTokens)
    if (call.producedTokens < 2) return
    const tokenMs = (call.lastTokenMs - call.firstTokenMs) / (call.producedTokens - 1)
    this.#tokenMs[endpoint] = (this.#tokenMs[endpoint] ?? 0) + gain * (tokenMs - (this.#tokenMs[endpoint] ?? 0))
  }

  /** Traffic that would go to the hottest endpoint goes to the coldest when it is hotter by more than the ratio. */
  #redirect(costs: Float64Array, usable: readonly number[]): void {
    const { redirect } = this.#values
    if (redirect === 0) return
    const loads = this.#load.ms
    const most = mostAmong(loads, usable)
    const least = leastAmong(loads, usable)
    const chosen = usable.find((i) => costs[i] === leastAmong(costs, usable))
    const coldest = usable.find((i) => loads[i] === least)
    if (chosen === undefined || coldest === undefined || loads[chosen] !== most || most <= redirect * least) return
    costs[coldest] = Number.NEGATIVE_INFINITY
  }

  #prefillMs({ matched, promptTokens }: Situation, i: number): number {
    const cached = matched[i] ?? 0
    const settings = this.#settings[i]
    return settings === undefined ? 0 : prefillMs(settings.cost, promptTokens - cached, cached)
  }
}

/**
 * Preble's E2 (routing-algorithms.md 2.7) without its autoscaler and its local scheduler. Work is counted in milliseconds with
 * the engine's own prefill time, which Preble fits offline; the mean of outputs and of times per token are learned.
 */
export const prebleArms = [
  definePeer({
    name: 'preble',
    summary: 'longest match when it is more than half, else least work of 3 minutes + eviction + prefill',
    source: 'Preble E2, constants of its code (redirecting is off there); routing-algorithms.md 2.7',
    parameters: {
      windowMs: { meaning: 'time over which work is summed, ms', value: 180_000, grid: [15_000, 60_000, 180_000] },
      exploitShare: { meaning: 'cached part of the prompt that decides', value: 0.5, grid: [0.25, 0.5, 0.75] },
      redirect: {
        meaning: 'ratio of work at which the hottest gives away; 0 is never',
        value: 0,
        grid: [0, 1.2, 1.5, 2],
      },
    },
    formula: (values, { settings }) => new Preble(values, settings),
  }),
]
