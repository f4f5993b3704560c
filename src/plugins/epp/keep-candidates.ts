import type { Candidates } from '#contracts/schedule.ts'

/** Leaves the candidates for which `isKept` says so, in their order; with `fallsBack` all of them when it is none. */
export function keepCandidates(candidates: Candidates, isKept: (slot: number) => boolean, fallsBack = false): void {
  const { slots, count } = candidates
  let kept = 0
  for (let i = 0; i < count; i++) {
    const slot = slots[i]!
    if (!isKept(slot)) continue
    // Exchanged rather than overwritten: what is dropped has to be there still when all fall back.
    slots[i] = slots[kept]!
    slots[kept++] = slot
  }
  if (kept > 0 || !fallsBack) candidates.count = kept
}
