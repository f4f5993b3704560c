import type { ChaosResult } from './chaos.ts'
import { faultRows } from './faults.ts'
import type { Violation } from './record.ts'

/** A violation with what is needed to see it again. */
export function violationText({ id, session, message, timeline }: Violation, seed: number): string {
  const lines = [`VIOLATION ${id ?? ''}: ${message}`]
  if (timeline !== '') lines.push(`    ${timeline}`)
  if (session !== undefined) lines.push(`    again: npm run chaos -- --seed ${seed} --session ${session}`)
  return lines.join('\n')
}

/** How requests ended, by what the engine did to them last. */
export function endingTable({ endings }: ChaosResult): string {
  const names = ['no endpoint reached', ...faultRows.map(({ name }) => name)]
  return names
    .filter((name) => endings.has(name))
    .map((name) => {
      const counts = [...(endings.get(name) ?? [])].toSorted((a, b) => b[1] - a[1])
      return `${name.padEnd(26)}${counts.map(([ending, count]) => `${ending} ${count}`).join(', ')}`
    })
    .join('\n')
}

/** Which violations, and how often each; '' when there are none. */
function kindsOf({ violationKinds }: ChaosResult): string {
  const kinds = [...violationKinds].toSorted((a, b) => b[1] - a[1]).slice(0, 10)
  return kinds.map(([kind, count]) => `\n${String(count).padStart(8)} ${kind}`).join('')
}

/** The run in a line. */
export function summaryOf(seed: number, result: ChaosResult): string {
  const { requests, sessions, restarts, seconds, violations, longestStallMs, stalled } = result
  return (
    `seed ${seed}: ${requests} requests of ${sessions} clients in ${seconds.toFixed(1)} s, ${restarts} engine restarts, ` +
    `longest stall of the test itself ${longestStallMs.toFixed(0)} ms (${stalled} requests not judged for it), ` +
    `${violations} violations${kindsOf(result)}`
  )
}
