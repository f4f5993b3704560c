import type { Candidates } from '#contracts/schedule.ts'
import { requestsOn } from '#plugins/requests-on.ts'

/** Whether a candidate has more than `breakOut` requests beyond the one with the fewest. */
export function isOverloaded(index: number, { slots, count, loads }: Candidates, breakOut: number): boolean {
  let fewest = Number.POSITIVE_INFINITY
  for (let i = 0; i < count; i++) fewest = Math.min(fewest, requestsOn(loads, slots[i]!))
  return requestsOn(loads, slots[index]!) - fewest > breakOut
}
