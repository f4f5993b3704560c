import type { CapacityColumn, CapacityRow } from '#lab/capacity.ts'
import { ratioText, titleOf } from './figures.ts'
import { fittingColumns, textTable } from './text-table.ts'

export function loadText(load: number): string {
  return load === 0 ? 'none' : String(Number(load.toPrecision(3)))
}

/** What a row carries; at least so much where more was not tried. */
export function rowLoad({ load, isOpen }: CapacityRow): string {
  return `${isOpen ? '≥ ' : ''}${loadText(load)}`
}

/** What a row carries against the best one. */
export function capacityRatio({ ratio }: CapacityRow): string {
  return ratio === undefined ? '-' : ratioText(ratio)
}

/** One workload's capacities for a terminal, the greatest first. */
export function capacityText(column: CapacityColumn, share: number, width: number): string {
  const { unit, fleet, rows } = column
  const table = fittingColumns(
    [
      { head: 'arm', cells: rows.map(({ arm }) => arm) },
      { head: unit, cells: rows.map(rowLoad) },
      { head: 'of the best', cells: rows.map(capacityRatio) },
      { head: 'by seed', rank: 1, cells: rows.map(({ seeds }) => seeds.map(loadText).join(' ')) },
    ],
    width,
  )
  return `${titleOf(column)} (${fleet}): greatest load with ${share * 100} % inside the objective\n${column.notes.map((note) => `${note}\n`).join('')}${textTable(table)}\n\n`
}
