import type { Column, Comparison, Regret } from '#lab/comparison.ts'
import { figures, fixed, titleOf } from './figures.ts'
import { fittingColumns, type TextColumn, textTable } from './text-table.ts'

/** Such as `9 conversations/s, 8 x qwen3-32b-2xh100`. */
export function loadOf({ load, unit, fleet }: Pick<Column, 'load' | 'unit' | 'fleet'>): string {
  return `${load} ${unit}, ${fleet}`
}

/** One workload for a terminal of so many columns; figures that have no room are left out, the least telling first. */
export function columnText(column: Column, width: number): string {
  const { cells } = column
  const sorted = cells.toSorted((a, b) => a.e2eRatio.ratio - b.e2eRatio.ratio)
  const columns: readonly TextColumn[] = [
    { head: 'arm', cells: sorted.map(({ arm }) => arm) },
    ...figures.flatMap(({ head, rank, of }) => (rank === undefined ? [] : [{ head, rank, cells: sorted.map(of) }])),
  ]
  // A column of nothing but dashes says nothing.
  const telling = columns.filter((each) => each.cells.some((cell) => cell !== '-'))
  const notes = column.notes.map((note) => `${note}\n`).join('')
  return `${titleOf(column)} (${loadOf(column)})\n${notes}${textTable(fittingColumns(telling, width))}\n\n`
}

const regretFigures: readonly (Omit<TextColumn, 'cells'> & { readonly of: (regret: Regret) => string })[] = [
  { head: 'kind', rank: 3, of: ({ kind }) => kind },
  { head: 'e2e', of: ({ e2e }) => fixed(e2e, 2) },
  { head: 'worst', of: ({ e2eWorst }) => fixed(e2eWorst, 2) },
  { head: 'at', rank: 1, of: ({ e2eWorstAt }) => e2eWorstAt },
  { head: 'TTFT', of: ({ ttft }) => fixed(ttft, 2) },
  { head: 'worst', of: ({ ttftWorst }) => fixed(ttftWorst, 2) },
  { head: 'at', rank: 2, of: ({ ttftWorstAt }) => ttftWorstAt },
]

/** The regrets for a terminal, the least first. */
export function regretText({ regrets, seeds, columns }: Comparison, width: number): string {
  const sorted = regrets.toSorted((a, b) => a.e2e - b.e2e)
  const count = `${columns.length} workload${columns.length === 1 ? '' : 's'}, ${seeds.length} seed${seeds.length === 1 ? '' : 's'}`
  const table = fittingColumns(
    [
      { head: 'arm', cells: sorted.map(({ arm }) => arm) },
      ...regretFigures.map(({ of, ...column }) => ({ ...column, cells: sorted.map(of) })),
    ],
    width,
  )
  return `Regret: times the best arm of each workload, geometric mean and worst (${count})\n${textTable(table)}\n`
}
