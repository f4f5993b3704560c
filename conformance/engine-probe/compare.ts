import type { RecordedEngine, Recording } from './recording.ts'

/** One point on which two recordings are not equal. */
export interface Difference {
  readonly question: string
  /** Who says it: the real engine alone, or the simulator alone. */
  readonly side: 'real' | 'simulator'
  readonly line: string
}

/** A difference that is meant: why the simulator does not do as the engine does. */
export interface KnownDifference {
  readonly engine: RecordedEngine
  /** The questions it shows in: their whole names, or all of them. */
  readonly questions: readonly string[] | 'all'
  /** The lines it covers, on either side. */
  readonly lines: RegExp
  /** What differs, and why it is left so. */
  readonly reason: string
}

/** How two recordings compare. */
export interface Comparison {
  readonly questions: number
  /** Questions answered alike in every point. */
  readonly equalQuestions: number
  readonly points: number
  readonly equalPoints: number
  readonly differences: readonly Difference[]
}

/** Compares what the simulator answered with what the real engine did. Each line is a point; the order does not count. */
export function compareRecordings(real: Recording, simulated: Recording): Comparison {
  const differences: Difference[] = []
  let points = 0
  let equalQuestions = 0
  for (const [question, shape] of Object.entries(real)) {
    const answered = simulated[question] ?? []
    const before = differences.length
    differences.push(...without(shape, answered).map((line) => ({ question, side: 'real' as const, line })))
    points += shape.length
    differences.push(...without(answered, shape).map((line) => ({ question, side: 'simulator' as const, line })))
    if (differences.length === before) equalQuestions++
  }
  const missing = differences.filter(({ side }) => side === 'real').length
  return { questions: Object.keys(real).length, equalQuestions, points, equalPoints: points - missing, differences }
}

/** Lines of `shape` that `other` does not have, as often as they are too many. */
function without(shape: readonly string[], other: readonly string[]): string[] {
  const left = new Map<string, number>()
  for (const line of other) left.set(line, (left.get(line) ?? 0) + 1)
  return shape.filter((line) => {
    const count = left.get(line) ?? 0
    if (count > 0) left.set(line, count - 1)
    return count === 0
  })
}

/** Splits differences by whether one of the known ones covers them. */
export function sortOut(
  differences: readonly Difference[],
  known: readonly KnownDifference[],
): { readonly unknown: readonly Difference[]; readonly covered: ReadonlyMap<KnownDifference, readonly Difference[]> } {
  const covered = new Map<KnownDifference, Difference[]>(known.map((entry) => [entry, []]))
  const unknown = differences.filter((difference) => {
    const entry = known.find((each) => covers(each, difference))
    if (entry !== undefined) covered.get(entry)?.push(difference)
    return entry === undefined
  })
  return { unknown, covered }
}

function covers({ questions, lines }: KnownDifference, { question, line }: Difference): boolean {
  return (questions === 'all' || questions.includes(question)) && lines.test(line)
}

/** Differences as text for a person: one line each, by question. */
export function describeDifferences(differences: readonly Difference[]): string {
  return differences.map(({ question, side, line }) => `${question}: only ${side}: ${line}`).join('\n')
}
