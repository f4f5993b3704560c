/** One row: from a low to a high value, with a mark between. */
export interface RangeRow {
  readonly name: string
  /** A CSS colour. */
  readonly color: string
  readonly low: number
  readonly middle: number
  readonly high: number
}

/** Ranges of positive values below each other, on one logarithmic axis. */
export interface RangeChart {
  readonly title: string
  readonly rows: readonly RangeRow[]
}

const width = 560
const left = 110
const right = 20
const top = 34
const rowHeight = 20
const text = 'font-family="system-ui, sans-serif" fill="#333"'

/** Makes text safe inside markup. */
export function escapeMarkup(raw: string): string {
  return raw.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}

/** Draws a chart as an SVG element. Values that are not positive are drawn at the left end. */
export function rangeChart({ title, rows }: RangeChart): string {
  const values = rows.flatMap(({ low, middle, high }) => [low, middle, high]).filter((each) => each > 0)
  const least = Math.floor(Math.log10(Math.min(...values, 1)))
  const most = Math.max(least + 1, Math.ceil(Math.log10(Math.max(...values, least))))
  const x = (value: number): number => {
    const part = value > 0 ? (Math.log10(value) - least) / (most - least) : 0
    return left + part * (width - left - right)
  }
  const bottom = top + rows.length * rowHeight
  const ticks = Array.from({ length: most - least + 1 }, (_, i) => 10 ** (least + i)).map((tick) => {
    const at = x(tick).toFixed(1)
    return (
      `<path d="M${at} ${top}V${bottom}" stroke="#ddd"/>` +
      `<text x="${at}" y="${bottom + 15}" text-anchor="middle" font-size="11" ${text}>${Number(tick.toPrecision(3))}</text>`
    )
  })
  const bars = rows.map(({ name, color, low, middle, high }, i) => {
    const y = top + (i + 0.5) * rowHeight
    return [
      `<text x="${left - 8}" y="${y + 4}" text-anchor="end" font-size="12" ${text}>${escapeMarkup(name)}</text>`,
      `<path d="M${x(low).toFixed(1)} ${y}H${x(high).toFixed(1)}" stroke="${color}" stroke-width="6" stroke-opacity=".35"/>`,
      `<circle cx="${x(middle).toFixed(1)}" cy="${y}" r="4" fill="${color}"/>`,
    ].join('')
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${bottom + 24}" width="${width}" height="${bottom + 24}">`,
    `<text x="${left}" y="20" font-size="13" font-weight="600" ${text}>${escapeMarkup(title)}</text>`,
    ...ticks,
    ...bars,
    '</svg>',
  ].join('\n')
}
