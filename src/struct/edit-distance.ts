/** Longer names are not compared: a typo is not what is wrong with them. */
const maxLength = 128

/** More candidates are not looked at, so that a hint costs a bounded time. */
const maxCandidates = 4096

/**
 * Damerau-Levenshtein distance in its optimal string alignment form: insertions, deletions, substitutions and swaps of
 * neighbours, each costing 1; no part is edited twice. Over UTF-16 units. Returns `limit + 1` as soon as it is exceeded.
 */
export function editDistance(a: string, b: string, limit: number = Number.POSITIVE_INFINITY): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    let best = row
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1]
      let cost = Math.min(last[column]! + 1, current[column - 1]! + 1, last[column - 1]! + (same ? 0 : 1))
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      if (swapped) cost = Math.min(cost, beforeLast[column - 2]! + 1)
      current.push(cost)
      if (cost < best) best = cost
    }
    // A swap reaches back two rows, at a cost of one more.
    if (best > limit + 1) return limit + 1
    beforeLast = last
    last = current
  }
  const distance = last[b.length]!
  return distance > limit ? limit + 1 : distance
}

/**
 * The candidate that `name` is most likely a misspelling of, or undefined when none is near: at most a third of the
 * letters may differ (of two letters one, so that short names get a hint too). Case counts nothing. Of equally near ones
 * the first is taken.
 */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  if (name.length === 0 || name.length > maxLength) return undefined
  const wanted = name.toLowerCase()
  let best: string | undefined
  let limit = name.length === 1 ? 0 : Math.max(1, Math.floor(name.length / 3))
  let seen = 0
  for (const candidate of candidates) {
    if (++seen > maxCandidates) break
    if (candidate.length > maxLength) continue
    const distance = editDistance(wanted, candidate.toLowerCase(), limit)
    if (distance > limit) continue
    if (distance === 0) return candidate
    best = candidate
    limit = distance - 1
  }
  return best
}
