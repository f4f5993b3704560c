import type { Random } from './random.ts'

/** What one case showed. */
export interface Verdict {
  /** Whether something was read to its end, and nothing refused. */
  readonly accepted: boolean
  /** In words; undefined when everybody agrees. */
  readonly difference: string | undefined
}

/** A codec of the gateway beside its judge. */
export interface Codec {
  readonly name: string
  /** A text (latin1) by the grammar. */
  generate(random: Random): string
  /** Reads `input` whole and cut at `cuts` (ascending), and has the judge read it. */
  check(input: Buffer, cuts: readonly number[]): Verdict
}
