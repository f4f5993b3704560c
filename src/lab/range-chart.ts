import { escapeMarkup, niceTicks } from './line-chart.ts'

/** One row: from a low to a high value, with a mark between. */
export interface RangeRow {
  readonly name: string
  /** A class of the page that gives the colour. */
  readonly kind: string
  readonly low: number
  readonly middle: number
  readonly high: number
  /** Said when the row is pointed at, and by screen readers. */
  readonly hint: string
}

/** Ranges of positive values below each other, on one logarithmic axis. */
export interface RangeChart {
  readonly title: string
  readonly rows: readonly RangeRow[]
}

const width = 480
const left = 138
const right = 22
const top = 34
const rowHeight = 19

/** Ticks at 1, 2 and 5 times the powers of ten inside the ends; round numbers where that are too few, powers where too many. */
function ticksBetween(low: number, high: number): readonly number[] {
  if (high / low < 5) return niceTicks(low, high, 4).filter((tick) => tick >= low && tick <= high)
  const first = Math.floor(Math.log10(low))
  const last = Math.ceil(Math.log10(high))
  const factors = high / low > 200 ? [1] : [1, 2, 5]
  const all = Array.from({ length: last - first + 1 }, (_, i) => factors.map((factor) => factor * 10 ** (first + i)))
  return all.flat().filter((tick) => tick >= low * 0.999 && tick <= high * 1.001)
}

function ends(values: readonly number[]): readonly [number, number] {
  const positive = values.filter((value) => value > 0 && Number.isFinite(value))
  const low = positive.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY)
  const high = positive.reduce((a, b) => Math.max(a, b), 0)
  if (high === 0) return [0.1, 1]
  // A little room at both ends, and never less than a factor of two in all.
  const middle = Math.sqrt(low * high)
  return [Math.min(low / 1.08, middle / 1.5), Math.max(high * 1.08, middle * 1.5)]
}

/** Draws a chart as an SVG element for a page that has the chart style. Values that are not positive are drawn at the left end. */
export function rangeChart({ title, rows }: RangeChart): string {
  const [low, high] = ends(rows.flatMap((row) => [row.low, row.middle, row.high]))
  const x = (value: number): string => {
    const part = value > low ? Math.log(value / low) / Math.log(high / low) : 0
    return (left + Math.min(1, part) * (width - left - right)).toFixed(1)
  }
  const bottom = top + rows.length * rowHeight
  const ticks = ticksBetween(low, high).map(
    (tick) =>
      `<path class="grid" d="M${x(tick)} ${top}V${bottom}"/>` +
      `<text x="${x(tick)}" y="${bottom + 16}" text-anchor="middle">${Number(tick.toPrecision(3))}</text>`,
  )
  const bars = rows.map((row, i) => {
    const y = top + (i + 0.5) * rowHeight
    return [
      `<g class="${row.kind}"><title>${escapeMarkup(`${row.name}: ${row.hint}`)}</title>`,
      `<text x="${left - 8}" y="${y + 4}" text-anchor="end">${escapeMarkup(row.name)}</text>`,
      `<path class="bar" d="M${x(row.low)} ${y}H${x(row.high)}"/>`,
      `<circle class="dot" cx="${x(row.middle)}" cy="${y}" r="4"/></g>`,
    ].join('')
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${bottom + 24}" role="img" aria-label="${escapeMarkup(title)}">`,
    `<text class="head" x="${left}" y="20">${escapeMarkup(title)}</text>`,
    ...ticks,
    ...bars,
    '</svg>',
  ].join('\n')
}
