/** A column of a table for a terminal. */
export interface TextColumn {
  readonly head: string
  readonly cells: readonly string[]
  /** Columns with the greatest rank go first where there is no room; those without one stay. */
  readonly rank?: number
}

const gap = 2

function widthOf({ head, cells }: TextColumn): number {
  return Math.max(head.length, ...cells.map((cell) => cell.length))
}

/** The columns that fit into a width, in their order. */
export function fittingColumns(columns: readonly TextColumn[], width: number): readonly TextColumn[] {
  let kept = columns
  const total = (): number => kept.reduce((sum, column) => sum + widthOf(column) + gap, -gap)
  while (total() > width) {
    const worst = Math.max(...kept.map(({ rank }) => rank ?? -1))
    if (worst < 0) break
    kept = kept.filter(({ rank }) => rank !== worst)
  }
  return kept
}

/** Lines of a table, its first column to the left and the others to the right. */
export function textTable(columns: readonly TextColumn[]): string {
  const widths = columns.map(widthOf)
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join(' '.repeat(gap))
      .trimEnd()
  const rows = (columns[0]?.cells ?? []).map((_, row) => line(columns.map(({ cells }) => cells[row] ?? '')))
  return [line(columns.map(({ head }) => head)), ...rows].join('\n')
}
