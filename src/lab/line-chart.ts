/** One line of a chart. */
export interface Series {
  readonly name: string
  /** x and y, in order of x. */
  readonly points: readonly (readonly [number, number])[]
  /** A CSS colour. */
  readonly color: string
  /** Single marks without a line, for what others measured. */
  readonly marksOnly?: boolean
}

/** A chart with a linear x axis from 0 and a linear or logarithmic y axis. */
export interface LineChart {
  readonly title: string
  readonly xLabel: string
  readonly yLabel: string
  readonly isLogarithmic?: boolean
  readonly series: readonly Series[]
}

const width = 520
const height = 340
const left = 66
const right = 16
const top = 40
const bottom = 46
/** About the mean width of a letter in the legend. */
const letterWidth = 6.4
const text = 'font-family="system-ui, sans-serif" fill="#333"'

interface Scale {
  readonly ticks: readonly number[]
  /** From a value to a part of the axis, 0 to 1. */
  readonly at: (value: number) => number
}

/** At most about six ticks at 1, 2 or 5 times a power of ten, from 0 to above the greatest value. */
function linearScale(values: readonly number[]): Scale {
  const most = Math.max(...values)
  const power = 10 ** Math.floor(Math.log10(most / 5))
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => most / each <= 6) ?? power * 10
  const count = Math.ceil(most / step)
  return { ticks: Array.from({ length: count + 1 }, (_, i) => i * step), at: (value) => value / (count * step) }
}

/** Powers of ten around all values. */
function logScale(values: readonly number[]): Scale {
  const low = Math.floor(Math.log10(Math.min(...values)))
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))))
  const ticks = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i))
  return { ticks, at: (value) => (Math.log10(value) - low) / (high - low) }
}

function label(value: number): string {
  return value >= 1_000 ? `${value / 1_000}k` : String(Number(value.toPrecision(3)))
}

function escaped(raw: string): string {
  return raw.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}

function drawChart(chart: LineChart): string {
  const xs = chart.series.flatMap(({ points }) => points.map(([x]) => x))
  const ys = chart.series.flatMap(({ points }) => points.map(([, y]) => y))
  const xScale = linearScale(xs)
  const yScale = chart.isLogarithmic === true ? logScale(ys) : linearScale(ys)
  const px = (x: number): string => (left + xScale.at(x) * (width - left - right)).toFixed(1)
  const py = (y: number): string => (height - bottom - yScale.at(y) * (height - top - bottom)).toFixed(1)
  const grid = yScale.ticks.map(
    (tick) =>
      `<path d="M${left} ${py(tick)}H${width - right}" stroke="#ddd"/>` +
      `<text x="${left - 6}" y="${py(tick)}" dy="4" text-anchor="end" font-size="11" ${text}>${label(tick)}</text>`,
  )
  const xTicks = xScale.ticks.map(
    (tick) =>
      `<text x="${px(tick)}" y="${height - bottom + 16}" text-anchor="middle" font-size="11" ${text}>${label(tick)}</text>`,
  )
  const lines = chart.series.map(({ points, color, marksOnly }) => {
    const marks = points.map(([x, y]) => `<circle cx="${px(x)}" cy="${py(y)}" r="${marksOnly === true ? 4 : 2}"/>`)
    if (marksOnly === true) return `<g fill="none" stroke="${color}" stroke-width="1.5">${marks.join('')}</g>`
    const path = points.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${px(x)} ${py(y)}`).join('')
    return `<g fill="${color}"><path d="${path}" fill="none" stroke="${color}" stroke-width="1.5"/>${marks.join('')}</g>`
  })
  const middle = (height - bottom + top) / 2
  return [
    `<text x="${left}" y="22" font-size="14" font-weight="600" ${text}>${escaped(chart.title)}</text>`,
    ...grid,
    ...xTicks,
    `<text x="${(width + left - right) / 2}" y="${height - 10}" text-anchor="middle" font-size="12" ${text}>${escaped(chart.xLabel)}</text>`,
    `<text transform="translate(14 ${middle}) rotate(-90)" text-anchor="middle" font-size="12" ${text}>${escaped(chart.yLabel)}</text>`,
    ...lines,
  ].join('\n')
}

/** Draws charts side by side, with one legend for all of them below, as an SVG document. */
export function lineCharts(charts: readonly LineChart[]): string {
  const named = new Map(charts.flatMap(({ series }) => series.map((each) => [each.name, each] as const)))
  const names = [...named.values()]
  const total = width * charts.length
  let nextX = left
  const legend = names.map(({ name, color, marksOnly }) => {
    const x = nextX
    nextX += name.length * letterWidth + 34
    const mark = marksOnly === true ? `fill="none" stroke="${color}" stroke-width="1.5"` : `fill="${color}"`
    return `<circle cx="${x}" cy="${height + 14}" r="4" ${mark}/><text x="${x + 10}" y="${height + 18}" font-size="12" ${text}>${escaped(name)}</text>`
  })
  const drawn = charts.map((chart, i) => `<g transform="translate(${i * width} 0)">\n${drawChart(chart)}\n</g>`)
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${total} ${height + 32}" width="${total}" height="${height + 32}">`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    ...drawn,
    ...legend,
    '</svg>',
    '',
  ].join('\n')
}
