/**
 * The constants of the house profile, in one place (routing-algorithms.md 5.2). They are the same for all workloads and
 * flat: doubling or halving them together changes results by a few percent. Only `waiting` and `decoding` are a preference,
 * and only those may be set in the configuration; all else says how engines behave.
 */
export const houseConstants = {
  /** A second of waiting before the first token counts as so many. */
  waiting: 3,
  /** A second of decoding, spread over all tokens after the first, counts as so many. */
  decoding: 0.3,
  /** How much the requests that arrive while this prompt is computed count. */
  busyPeriod: 3,
  /**
   * Requests that arrive later go elsewhere rather than wait for more than so many mean prefills (`patience`), and going elsewhere
   * costs each of them at most so many (`mostHarm`).
   */
  patience: 20,
  mostHarm: 60,
  /** How much the share of KV memory that a request takes counts, at full memory. */
  memoryPrice: 5,
  /** Requests that do not fit are taken to wait for so many times as many to end. */
  blockedTimes: 5,
  /** KV memory is taken for full from this share on. */
  fullShare: 0.9,
  /** Sequence slots are taken for full from this share on. */
  fullSlots: 0.85,
  /** The price of memory begins at this share of use and is whole at `priceWholeAt`; it grows on with what waits for memory. */
  priceFrom: 0.5,
  priceWholeAt: 0.95,
  /** Demand that one copy of a prefix may attract, as a part of the mean load, before another copy is worth its price. */
  demandPerCopy: 0.2,
  /** Part of a request's answer that is resident already, on average over those in flight. */
  residentOutput: 0.25,
} as const

/** The constants, or others in their place for experiments. */
export type HouseConstants = { readonly [Name in keyof typeof houseConstants]: number }

/**
 * The constants with those that weigh one term against another times a factor: what does not follow from how engines behave, so
 * that the results should not hang on it. Shares and limits stay.
 */
export function scaledConstants(factor: number): HouseConstants {
  const scaled = { ...houseConstants } as { -readonly [Name in keyof HouseConstants]: number }
  for (const name of ['waiting', 'decoding', 'busyPeriod', 'memoryPrice', 'blockedTimes', 'demandPerCopy'] as const)
    scaled[name] *= factor
  return scaled
}

/** What is assumed until it is learned, and where nothing says better: a 32B model on two accelerators. */
export const housePriors = {
  /** Seconds to compute one prompt token, and that times the context before it (attention). */
  prefillS: 50e-6,
  pairS: 2.1e-9,
  /** Seconds of one decode step: its floor, and what each token of context in the batch adds. */
  stepFloorS: 15e-3,
  stepPerTokenS: 39e-9,
  /** Sequences that an engine runs at a time (vLLM's default on a server), and one that reports nothing. */
  maxSequences: 256,
  maxSequencesUnreported: 16,
  /** Tokens of KV memory of an engine that says how full it is, and not of what. */
  kvTokens: 262_144,
  /** Tokens of an answer. */
  outputTokens: 250,
  /** Seconds to load an adapter, and how many more when another has to go. */
  adapterLoadS: 0.2,
} as const

/** Learned speeds within this factor of the mean are taken for equal: noise stays out (routing-algorithms.md 5.5). */
export const speedDeadBand = 1.25

/** Over how long rates are averaged, in milliseconds. */
export const rateWindowMs = 10_000

/** How fast the mean length of answers follows. */
export const outputGain = 0.02
