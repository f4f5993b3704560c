/** Charts as SVG texts: readable on light and dark pages, without a font or a script of their own. */

/** One line of a chart. */
export interface ChartSeries {
  readonly name: string
  /** `[x, y]`, ascending in x. */
  readonly points: readonly (readonly [number, number])[]
  /** A CSS colour, instead of the next one of the palette. */
  readonly color?: string
  /** Thin and pale: what only gives context. */
  readonly isFaint?: boolean
  /** Single marks without a line, for what others measured. */
  readonly marksOnly?: boolean
  /** A dot at every point. */
  readonly hasMarks?: boolean
}

/** One axis of a chart. */
export interface ChartAxis {
  /** What is shown, with its unit: `resident memory, MiB`. */
  readonly label: string
  /** Ends of the axis; by default what the data needs, and 0 for y. */
  readonly min?: number
  readonly max?: number
}

/** A line chart. */
export interface LineChart {
  readonly title: string
  readonly subtitle?: string
  readonly x: ChartAxis
  /** A logarithmic one ends at powers of ten around the data and leaves out what is not positive. */
  readonly y: ChartAxis & { readonly isLogarithmic?: boolean }
  /** At most six without colours of their own. */
  readonly series: readonly ChartSeries[]
}

/** Where the parts of a chart are. */
interface Layout {
  readonly width: number
  readonly height: number
  readonly top: number
  /** Whether series are named above the plot. */
  readonly hasLegend: boolean
}

const single: Layout = { width: 760, height: 400, top: 92, hasLegend: true }
const beside: Layout = { width: 520, height: 360, top: 58, hasLegend: false }
/** As small as is readable on a telephone. */
const small: Layout = { width: 480, height: 310, top: 58, hasLegend: false }
const margin = { left: 64, right: 24, bottom: 56 } as const

/** Colours that stay apart for colour-blind readers and on both backgrounds (Okabe and Ito, adjusted for contrast). */
export const palette = ['#0b7bc1', '#d55e00', '#009e73', '#b8609a', '#b07d00', '#6b7280'] as const

/** The rules that a chart's classes need, for a page that shows charts without a style of their own. */
export const chartStyle = `
  svg text { font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #57606a }
  svg .title { font-size: 17px; font-weight: 600; fill: #1f2328 }
  svg .grid { stroke: #57606a; stroke-opacity: 0.18 }
  svg .axis { stroke: #57606a; stroke-opacity: 0.6 }
  svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round }
  svg .faint { stroke-width: 1; stroke-opacity: 0.45 }
  svg .ring { fill: none; stroke-width: 1.5 }
  @media screen and (prefers-color-scheme: dark) {
    svg text { fill: #9198a1 }
    svg .title { fill: #f0f6fc }
    svg .grid, svg .axis { stroke: #9198a1 }
  }`

/** Steps of 1, 2 or 5 times a power of ten, about `wanted` of them, from at or below `min` to at or above `max`. */
export function niceTicks(min: number, max: number, wanted = 5): readonly number[] {
  const rough = (max - min || Math.abs(max) || 1) / wanted
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999) ?? 10)
  const first = Math.floor(min / step + 1e-9)
  const last = Math.max(Math.ceil(max / step - 1e-9), first + 1)
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)))
}

interface Scale {
  readonly ticks: readonly number[]
  /** From a value to a place in the picture. */
  readonly at: (value: number) => number
}

/** Draws one chart as an SVG document. Throws when there is nothing to draw. */
export function lineChart(chart: LineChart): string {
  return svg([chart.title, single.width, single.height], [`<style>${chartStyle}\n</style>`, drawChart(chart, single)])
}

/** Draws a small chart for a page that has {@link chartStyle}; its series are to be named there. */
export function smallLineChart(chart: LineChart): string {
  return svg([chart.title, small.width, small.height], [drawChart(chart, small)])
}

/** Draws charts side by side, with one legend for all of them below, as an SVG document. */
export function lineCharts(charts: readonly LineChart[]): string {
  const named = new Map(charts.flatMap(({ series }) => series.map((each, i) => [each.name, { each, i }] as const)))
  const width = beside.width * charts.length
  const legend = legendBelow([...named.values()], width)
  const title = charts.map((chart) => chart.title).join('; ')
  return svg(
    [title, width, beside.height + legend.height],
    [
      `<style>${chartStyle}\n</style>`,
      ...charts.map(
        (chart, i) => `<g transform="translate(${i * beside.width} 0)">\n${drawChart(chart, beside)}\n</g>`,
      ),
      ...legend.parts,
    ],
  )
}

function svg([title, width, height]: readonly [string, number, number], parts: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escapeMarkup(title)}">
${parts.join('\n')}
</svg>
`
}

function drawChart({ title, subtitle, x, y, series }: LineChart, { width, height, top, hasLegend }: Layout): string {
  const isDrawn = ([, value]: readonly [number, number]): boolean =>
    Number.isFinite(value) && (y.isLogarithmic !== true || value > 0)
  const points = series.flatMap((each) => each.points.filter(isDrawn))
  if (points.length === 0) throw new Error(`'${title}' has no points`)
  const bottom = height - margin.bottom
  const right = width - margin.right
  const xs = points.map(([value]) => value)
  const ys = points.map(([, value]) => value)
  const xScale = linearScale(niceTicks(x.min ?? least(xs), x.max ?? greatest(xs), 7), margin.left, right)
  const yScale =
    y.isLogarithmic === true
      ? logScale(ys, bottom, top)
      : linearScale(niceTicks(y.min ?? Math.min(0, least(ys)), y.max ?? greatest(ys)), bottom, top)
  return [
    `<text class="title" x="${margin.left}" y="30">${escapeMarkup(title)}</text>`,
    ...(subtitle === undefined ? [] : [`<text x="${margin.left}" y="51">${escapeMarkup(subtitle)}</text>`]),
    ...(hasLegend ? legendAbove(series, right, top) : []),
    ...yScale.ticks.flatMap((tick, i) => horizontal(tick, yScale.at(tick), { right, isAxis: i === 0 })),
    ...xScale.ticks.map(
      (tick) => `<text x="${xScale.at(tick)}" y="${bottom + 20}" text-anchor="middle">${formatted(tick)}</text>`,
    ),
    `<text x="${round((margin.left + right) / 2)}" y="${height - 12}" text-anchor="middle">${escapeMarkup(x.label)}</text>`,
    `<text x="${margin.left}" y="${top - 10}">${escapeMarkup(y.label)}</text>`,
    ...series.map((each, i) =>
      drawSeries({ ...each, points: each.points.filter(isDrawn) }, colorOf(each, i), (point) => [
        xScale.at(point[0]),
        yScale.at(point[1]),
      ]),
    ),
  ].join('\n')
}

/** The colour that a series has as the one with this index in its chart. */
export function colorOf({ color }: Pick<ChartSeries, 'color'>, index: number): string {
  return color ?? (palette[index % palette.length] as string)
}

function linearScale(ticks: readonly number[], from: number, to: number): Scale {
  const low = ticks[0] ?? 0
  const high = ticks.at(-1) ?? 1
  return { ticks, at: (value) => round(from + ((value - low) / (high - low)) * (to - from)) }
}

/** Powers of ten around all values. */
function logScale(values: readonly number[], from: number, to: number): Scale {
  const low = Math.floor(Math.log10(least(values)))
  const high = Math.max(low + 1, Math.ceil(Math.log10(greatest(values))))
  const ticks = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i))
  return { ticks, at: (value) => round(from + ((Math.log10(value) - low) / (high - low)) * (to - from)) }
}

function horizontal(
  tick: number,
  at: number,
  { right, isAxis }: { readonly right: number; readonly isAxis: boolean },
): string[] {
  return [
    `<line class="${isAxis ? 'axis' : 'grid'}" x1="${margin.left}" x2="${right}" y1="${at}" y2="${at}"/>`,
    `<text x="${margin.left - 8}" y="${round(at + 4)}" text-anchor="end">${formatted(tick)}</text>`,
  ]
}

/** About so wide is a letter: the page's font is not known here. */
const letterWidth = 6.9

/** Names of the lines, when there are several, in a row at the right above the plot. */
function legendAbove(series: readonly ChartSeries[], right: number, top: number): string[] {
  if (series.length < 2) return []
  let at = right
  const parts: string[] = []
  for (let i = series.length - 1; i >= 0; i--) {
    const each = series[i] as ChartSeries
    const y = top - 14
    parts.push(`<text x="${round(at)}" y="${y + 4}" text-anchor="end">${escapeMarkup(each.name)}</text>`)
    at -= each.name.length * letterWidth + 8
    parts.push(sample(each, colorOf(each, i), [at - 16, y]))
    at -= 34
  }
  return parts
}

interface Named {
  readonly each: ChartSeries
  readonly i: number
}

/** Names of the lines in as many rows as they need. */
function legendBelow(
  named: readonly Named[],
  width: number,
): { readonly height: number; readonly parts: readonly string[] } {
  const rowHeight = 22
  let x: number = margin.left
  let y = beside.height + 8
  const parts = named.flatMap(({ each, i }) => {
    const needed = each.name.length * letterWidth + 50
    if (x + needed > width && x > margin.left) {
      x = margin.left
      y += rowHeight
    }
    const start = x
    x += needed
    return [
      sample(each, colorOf(each, i), [start, y]),
      `<text x="${round(start + 24)}" y="${y + 4}">${escapeMarkup(each.name)}</text>`,
    ]
  })
  return { height: y + rowHeight - beside.height, parts }
}

/** A short piece of a line, or a mark, as it is in the plot. */
function sample({ marksOnly = false }: ChartSeries, color: string, [x, y]: readonly [number, number]): string {
  if (marksOnly) return `<circle class="ring" stroke="${color}" cx="${round(x + 8)}" cy="${y}" r="4"/>`
  return `<line class="line" stroke="${color}" x1="${round(x)}" x2="${round(x + 16)}" y1="${y}" y2="${y}"/>`
}

function drawSeries(
  { points, isFaint = false, marksOnly = false, hasMarks = false }: ChartSeries,
  color: string,
  place: (point: readonly [number, number]) => readonly [number, number],
): string {
  const placed = points.map(place)
  if (marksOnly) {
    return placed.map(([x, y]) => `<circle class="ring" stroke="${color}" cx="${x}" cy="${y}" r="4"/>`).join('')
  }
  const path = placed.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${x} ${y}`).join('')
  const marks = hasMarks ? placed.map(([x, y]) => `<circle fill="${color}" cx="${x}" cy="${y}" r="2.5"/>`) : []
  return `<path class="line${isFaint ? ' faint' : ''}" stroke="${color}" d="${path}"/>${marks.join('')}`
}

function formatted(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 6 })
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}

function least(values: readonly number[]): number {
  return values.reduce((a, b) => Math.min(a, b))
}

function greatest(values: readonly number[]): number {
  return values.reduce((a, b) => Math.max(a, b))
}

/** Makes text safe inside markup. */
export function escapeMarkup(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
