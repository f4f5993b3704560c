import { editDistance } from './edit-distance.ts'

/** Bounds of a search, so that an unknown name sent on purpose costs little. */
export interface NearNamesOptions {
  /** Most names returned. */
  readonly limit: number
  /** Candidates looked at: the first ones. */
  readonly maxCandidates: number
  /** Characters of a name that are compared. */
  readonly maxLength: number
}

/**
 * Names that `name` may be a misspelling of, nearest first: those that differ by few edits (up to a third of its
 * length, capital letters aside), then those that contain it or are contained in it.
 */
export function nearNames(name: string, candidates: readonly string[], options: NearNamesOptions): string[] {
  const wanted = name.slice(0, options.maxLength).toLowerCase()
  if (wanted === '') return []
  const most = Math.max(1, Math.min(8, Math.floor(wanted.length / 3)))
  const found: { readonly candidate: string; readonly distance: number }[] = []
  const count = Math.min(candidates.length, options.maxCandidates)
  for (let i = 0; i < count; i++) {
    const candidate = candidates[i]!
    const other = candidate.slice(0, options.maxLength).toLowerCase()
    const edits = editDistance(wanted, other, most)
    if (edits <= most) found.push({ candidate, distance: edits })
    else if (isPart(wanted, other)) found.push({ candidate, distance: most + 1 })
  }
  return found
    .toSorted((a, b) => a.distance - b.distance)
    .slice(0, options.limit)
    .map(({ candidate }) => candidate)
}

const shortestPart = 3

function isPart(a: string, b: string): boolean {
  return Math.min(a.length, b.length) >= shortestPart && (a.includes(b) || b.includes(a))
}
