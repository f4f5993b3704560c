import { type Rng, seededRng } from '#core/clock.ts'
import { hashSegmentBlocks, type Segment } from '#sim/model/block-hash.ts'
import type { EngineRequest } from '#sim/model/engine-request.ts'
import type { Arrival } from './virtual-fleet.ts'
import { shuffled } from './workload/draws.ts'

/** A time of constant load, with Poisson arrivals. */
export interface Stage {
  readonly ratePerSecond: number
  readonly seconds: number
}

/** The shape of a ladder: `groups` long prefixes, each followed by one of `promptsPerGroup` questions. */
export interface LadderShape {
  readonly groups: number
  readonly promptsPerGroup: number
  readonly prefixTokens: number
  readonly questionTokens: number
  readonly outputTokens: number
  readonly warmUp: Stage
  readonly stages: readonly Stage[]
  /** Pause after a stage has drained. */
  readonly restMs: number
}

/** The profile `guide_optimized-baseline_1` of llm-d-benchmark (model-servers.md 5.2), which the published ladder ran. */
export const publishedLadder: LadderShape = {
  groups: 150,
  promptsPerGroup: 5,
  prefixTokens: 6_000,
  questionTokens: 1_200,
  outputTokens: 1_000,
  warmUp: { ratePerSecond: 15, seconds: 50 },
  stages: [
    { ratePerSecond: 3, seconds: 20 },
    { ratePerSecond: 10, seconds: 20 },
    { ratePerSecond: 15, seconds: 20 },
    { ratePerSecond: 20, seconds: 38 },
    { ratePerSecond: 22, seconds: 34 },
    { ratePerSecond: 25, seconds: 30 },
    { ratePerSecond: 30, seconds: 25 },
    { ratePerSecond: 35, seconds: 21 },
    { ratePerSecond: 40, seconds: 38 },
    { ratePerSecond: 43, seconds: 36 },
    { ratePerSecond: 46, seconds: 33 },
    { ratePerSecond: 49, seconds: 30 },
    { ratePerSecond: 52, seconds: 29 },
    { ratePerSecond: 55, seconds: 27 },
    { ratePerSecond: 57, seconds: 26 },
    { ratePerSecond: 60, seconds: 25 },
  ],
  restMs: 30_000,
}

/** Keeps the seeds of prefixes, questions and answers apart. */
const seedRange = 1_000_000

/** The requests of a ladder; the same seed gives the same requests at the same times after the start of their stage. */
export class LadderWorkload {
  readonly #shape: LadderShape
  readonly #blockSize: number
  readonly #rng: Rng
  /** Prompts in the order they are asked, over and over: from the first one on in every stage, as inference-perf does. */
  readonly #order: readonly number[]
  readonly #prompts: readonly Float64Array[]
  #asked = 0

  constructor(shape: LadderShape, blockSize: number, seed: number) {
    this.#shape = shape
    this.#blockSize = blockSize
    this.#rng = seededRng(seed)
    const count = shape.groups * shape.promptsPerGroup
    const prefixes = Array.from({ length: shape.groups }, (_, group) =>
      hashSegmentBlocks([this.#prefix(group)], blockSize, 0),
    )
    this.#prompts = Array.from({ length: count }, (_, prompt) =>
      hashSegmentBlocks(this.#promptSegments(prompt), blockSize, 0, prefixes[this.#groupOf(prompt)]),
    )
    this.#order = shuffled(count, this.#rng)
  }

  /** The arrivals of a stage that begins at a time. */
  arrivals({ ratePerSecond, seconds }: Stage, startMs: number): readonly Arrival[] {
    let atMs = startMs
    return Array.from({ length: Math.round(ratePerSecond * seconds) }, (_, i) => {
      atMs += (-Math.log(1 - this.#rng()) * 1e3) / ratePerSecond
      const prompt = this.#order[i % this.#order.length]!
      const request = this.#request(prompt, this.#asked++)
      return { atMs, group: this.#groupOf(prompt), prompt: this.#promptSegments(prompt), request }
    })
  }

  #request(prompt: number, number: number): EngineRequest {
    const { prefixTokens, questionTokens, outputTokens } = this.#shape
    const segments = [...this.#promptSegments(prompt), { seed: 2 * seedRange + number, tokens: outputTokens }]
    return {
      promptTokens: prefixTokens + questionTokens,
      outputTokens,
      blockHashes: hashSegmentBlocks(segments, this.#blockSize, 0, this.#prompts[prompt]),
    }
  }

  #groupOf(prompt: number): number {
    return Math.floor(prompt / this.#shape.promptsPerGroup)
  }

  #prefix(group: number): Segment {
    return { seed: group, tokens: this.#shape.prefixTokens }
  }

  #promptSegments(prompt: number): readonly Segment[] {
    return [this.#prefix(this.#groupOf(prompt)), { seed: seedRange + prompt, tokens: this.#shape.questionTokens }]
  }
}
