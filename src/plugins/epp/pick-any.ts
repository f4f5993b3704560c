import type { Rng } from '#core/clock.ts'

/** Any index below `count`. */
export function pickAny(count: number, rng: Rng): number {
  return Math.min(count - 1, Math.floor(rng() * count))
}
