/** Reported seeds begin here, seeds of searches at 1: no search ever sees a list of requests that a report shows. */
const firstReportedSeed = 101

/** Seeds that reports show. */
export function reportedSeeds(count: number): readonly number[] {
  return Array.from({ length: count }, (_, i) => firstReportedSeed + i)
}

/** Seeds that searches look at. */
export function searchedSeeds(count: number): readonly number[] {
  return Array.from({ length: count }, (_, i) => i + 1)
}

/** How many seeds of each kind a command uses. */
export interface SeedCounts {
  readonly searched: number
  readonly reported: number
}

/**
 * Which of `searched + reported` parts of a recording a seed stands for. Reported ones lie evenly between the others, so that a
 * recording that changes on the way changes for both; no two seeds of the counts have the same part.
 */
export function partOf(seed: number, { searched, reported }: SeedCounts): number {
  const total = searched + reported
  const shown = Array.from({ length: reported }, (_, i) => Math.floor(((i + 0.5) * total) / reported))
  if (seed >= firstReportedSeed) return shown[(seed - firstReportedSeed) % Math.max(1, reported)] ?? 0
  const others = Array.from({ length: total }, (_, i) => i).filter((i) => !shown.includes(i))
  return others[(seed - 1) % Math.max(1, others.length)] ?? 0
}
