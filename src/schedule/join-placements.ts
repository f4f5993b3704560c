import type { Placement } from '#contracts/schedule.ts'

/** One placement that tells two of them. */
export function joinPlacements(first: Placement, second: Placement): Placement {
  return {
    replyHeaders: [...(first.replyHeaders ?? []), ...(second.replyHeaders ?? [])],
    firstToken(nowMs) {
      first.firstToken?.(nowMs)
      second.firstToken?.(nowMs)
    },
    ended(end) {
      first.ended(end)
      second.ended(end)
    },
  }
}
