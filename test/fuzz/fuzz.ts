import type { Codec } from './codec.ts'
import { mutate } from './mutate.ts'
import { Random } from './random.ts'

/** A case that the readers disagree on, as small as it could be made. */
export interface Finding {
  /** As latin1. */
  readonly input: string
  readonly cuts: readonly number[]
  readonly difference: string
}

const maxCorpus = 400
const maxBytes = 2000

/** Runs one codec against its judge, from a seed: the same seed makes the same cases. */
export class Fuzzer {
  cases = 0
  accepted = 0
  readonly #codec: Codec
  readonly #random: Random
  /** Accepted texts: what mutations start from, because most mutations of a refused text are refused too. */
  readonly #corpus: string[] = []

  constructor(codec: Codec, seed: number) {
    this.#codec = codec
    this.#random = new Random(seed)
  }

  /** Tries one more case. */
  step(): Finding | undefined {
    const text = this.#text()
    const input = Buffer.from(text, 'latin1')
    const cuts = this.#random.cuts(input.length)
    const { accepted, difference } = this.#codec.check(input, cuts)
    this.cases++
    if (accepted) {
      this.accepted++
      if (this.#corpus.length < maxCorpus) this.#corpus.push(text)
      else this.#corpus[this.#random.below(maxCorpus)] = text
    }
    return difference === undefined ? undefined : shrunk(this.#codec, { input: text, cuts, difference })
  }

  #text(): string {
    const random = this.#random
    if (this.#corpus.length < 2 || random.chance(0.3)) {
      const text = this.#codec.generate(random)
      return random.chance(0.3) ? text : mutate(text, this.#codec.generate(random), random).slice(0, maxBytes)
    }
    return mutate(random.of(this.#corpus), random.of(this.#corpus), random).slice(0, maxBytes)
  }
}

/** Leaves out bytes and cuts as long as some difference stays. */
function shrunk(codec: Codec, finding: Finding): Finding {
  let best = finding
  const attempt = (input: string, cuts: readonly number[]): boolean => {
    const { difference } = codec.check(Buffer.from(input, 'latin1'), cuts)
    if (difference === undefined) return false
    best = { input, cuts, difference }
    return true
  }
  attempt(best.input, [])
  for (let size = best.input.length >> 1; size >= 1; size >>= 1) {
    for (let at = 0; at < best.input.length; ) {
      const shorter = best.input.slice(0, at) + best.input.slice(at + size)
      const cuts = best.cuts.map((cut) => (cut > at ? Math.max(at, cut - size) : cut)).filter((cut) => cut > 0)
      if (!attempt(shorter, cuts)) at += size
    }
  }
  for (const cut of best.cuts)
    attempt(
      best.input,
      best.cuts.filter((other) => other !== cut),
    )
  return best
}
