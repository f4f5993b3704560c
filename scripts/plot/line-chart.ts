/** A chart as an SVG text: readable on light and dark pages, without a font or a script of its own. */

/** One line of a chart. */
export interface ChartSeries {
  readonly name: string
  /** `[x, y]`, ascending in x. */
  readonly points: readonly (readonly [number, number])[]
  /** Thin and pale: what only gives context. */
  readonly isFaint?: boolean
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
  readonly y: ChartAxis
  /** At most six. */
  readonly series: readonly ChartSeries[]
}

const width = 760
const height = 400
const frame = { left: 64, right: 24, top: 92, bottom: 56 } as const
const plotWidth = width - frame.left - frame.right
const plotHeight = height - frame.top - frame.bottom

/** Colours that stay apart for colour-blind readers and on both backgrounds (Okabe and Ito, adjusted for contrast). */
const palette = ['#0b7bc1', '#d55e00', '#009e73', '#b8609a', '#b07d00', '#6b7280'] as const

const style = `
  text { font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #57606a }
  .title { font-size: 17px; font-weight: 600; fill: #1f2328 }
  .grid { stroke: #57606a; stroke-opacity: 0.18 }
  .axis { stroke: #57606a; stroke-opacity: 0.6 }
  .line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round }
  .faint { stroke-width: 1; stroke-opacity: 0.45 }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1 }
    .title { fill: #f0f6fc }
    .grid, .axis { stroke: #9198a1 }
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

/** Draws a chart. Throws when there is nothing to draw. */
export function lineChart(chart: LineChart): string {
  const xs = chart.series.flatMap(({ points }) => points.map(([x]) => x))
  const ys = chart.series.flatMap(({ points }) => points.map(([, y]) => y))
  if (xs.length === 0) throw new Error(`'${chart.title}' has no points`)
  const { x: xAxis, y: yAxis } = chart
  const xTicks = niceTicks(xAxis.min ?? least(xs), xAxis.max ?? greatest(xs), 7)
  const yTicks = niceTicks(yAxis.min ?? Math.min(0, least(ys)), yAxis.max ?? greatest(ys))
  const scaleX = scale(xTicks, frame.left, frame.left + plotWidth)
  const scaleY = scale(yTicks, frame.top + plotHeight, frame.top)
  const parts = [
    `<text class="title" x="${frame.left}" y="30">${escape(chart.title)}</text>`,
    ...(chart.subtitle === undefined ? [] : [`<text x="${frame.left}" y="51">${escape(chart.subtitle)}</text>`]),
    ...legend(chart.series),
    ...yTicks.flatMap((tick) => horizontal(tick, scaleY(tick), tick === yTicks[0])),
    ...xTicks.map((tick) => {
      const at = scaleX(tick)
      return `<text x="${at}" y="${frame.top + plotHeight + 20}" text-anchor="middle">${formatted(tick)}</text>`
    }),
    `<text x="${frame.left + plotWidth / 2}" y="${height - 12}" text-anchor="middle">${escape(xAxis.label)}</text>`,
    `<text x="${frame.left}" y="${frame.top - 10}">${escape(yAxis.label)}</text>`,
    ...chart.series.map((series, i) => line(series, colour(i), scaleX, scaleY)),
  ]
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escape(chart.title)}">
<style>${style}
</style>
${parts.join('\n')}
</svg>
`
}

function colour(index: number): string {
  return palette[index % palette.length] as string
}

function scale(ticks: readonly number[], from: number, to: number): (value: number) => number {
  const low = ticks[0] ?? 0
  const high = ticks.at(-1) ?? 1
  return (value) => round(from + ((value - low) / (high - low)) * (to - from))
}

function horizontal(tick: number, at: number, isAxis: boolean): string[] {
  return [
    `<line class="${isAxis ? 'axis' : 'grid'}" x1="${frame.left}" x2="${frame.left + plotWidth}" y1="${at}" y2="${at}"/>`,
    `<text x="${frame.left - 8}" y="${round(at + 4)}" text-anchor="end">${formatted(tick)}</text>`,
  ]
}

/** Names of the lines, when there are several, in a row at the right above the plot. */
function legend(series: readonly ChartSeries[]): string[] {
  if (series.length < 2) return []
  let at = frame.left + plotWidth
  const parts: string[] = []
  for (let i = series.length - 1; i >= 0; i--) {
    const { name } = series[i] as ChartSeries
    const y = frame.top - 14
    parts.push(`<text x="${round(at)}" y="${y + 4}" text-anchor="end">${escape(name)}</text>`)
    // About so wide: the page's font is not known here.
    at -= name.length * 6.9 + 8
    parts.push(
      `<line class="line" stroke="${colour(i)}" x1="${round(at - 16)}" x2="${round(at)}" y1="${y}" y2="${y}"/>`,
    )
    at -= 34
  }
  return parts
}

function line(
  { points, isFaint = false }: ChartSeries,
  stroke: string,
  scaleX: (value: number) => number,
  scaleY: (value: number) => number,
): string {
  const path = points.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${scaleX(x)} ${scaleY(y)}`).join('')
  return `<path class="line${isFaint ? ' faint' : ''}" stroke="${stroke}" d="${path}"/>`
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

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
