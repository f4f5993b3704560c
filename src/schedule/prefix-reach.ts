import type { Candidates } from '#contracts/schedule.ts'
import { health } from '#core/endpoint.ts'
import type { Profile } from './profile.ts'

/** Shorter prefixes are beginnings that many prompts have by chance, and cost little to compute again. */
const leastTokens = 1024

/** What endpoints in service have of a prompt, as far as known. All 0 for a probe and where the profile does not know caches. */
export interface PrefixReach {
  /** Prompt tokens that the best of them has in its cache. */
  readonly reachableTokens: number
  /** How many of them have at least half as many, when those are 1,024 or more. */
  readonly prefixCopies: number
}

/** Of a probe, and of a profile that does not know caches. */
export const noReach: PrefixReach = { reachableTokens: 0, prefixCopies: 0 }

/** What the candidates have of the prompt that facts were produced for last. */
export function reachOf(
  { facts, knowsCache }: Pick<Profile, 'facts' | 'knowsCache'>,
  candidates: Candidates,
): PrefixReach {
  if (!knowsCache) return noReach
  const { cachedTokens } = facts
  const { slots, count } = candidates
  let most = 0
  for (let i = 0; i < count; i++) {
    const cached = cachedTokens[slots[i]!]!
    if (cached > most && isInService(candidates, i)) most = cached
  }
  if (most < leastTokens) return most === 0 ? noReach : { reachableTokens: most, prefixCopies: 0 }
  let copies = 0
  for (let i = 0; i < count; i++) {
    if (2 * cachedTokens[slots[i]!]! >= most && isInService(candidates, i)) copies++
  }
  return { reachableTokens: most, prefixCopies: copies }
}

function isInService({ slots, loads }: Candidates, index: number): boolean {
  const slot = slots[index]!
  return loads.ejected[slot] === 0 && loads.health[slot] !== health.unready
}
