import type { Histogram } from './histogram.ts'

/** Label names and values of one series. */
export type Labels = Readonly<Record<string, string>>

/** One series of a counter or gauge. */
export interface Sample {
  readonly labels?: Labels
  readonly value: number
}

/** What tells one exposition library from another. */
export interface PageStyle {
  /** How a value is written. */
  number(value: number): string
  /** When set, counters and histograms get a `_created` series with this time (epoch seconds), as the Python client does. */
  readonly createdS?: number
  readonly hasHelp: boolean
}

/**
 * Writes a number as the Python client does: always with a fraction, and with an exponent from 1e6 on
 * (prometheus_client `floatToGoString`).
 */
export function pythonNumber(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf'
  if (Number.isNaN(value)) return 'NaN'
  const text = Number.isInteger(value) ? `${value}.0` : String(value)
  const dot = text.indexOf('.')
  if (value <= 0 || dot <= 6) return text
  const mantissa = `${text[0]}.${text.slice(1, dot)}${text.slice(dot + 1)}`.replace(/0*$/, '').replace(/\.$/, '')
  return `${mantissa}e+${String(dot - 1).padStart(2, '0')}`
}

/** Writes a number as Rust does: whole ones without a fraction. */
export function rustNumber(value: number): string {
  return value === Number.POSITIVE_INFINITY ? '+Inf' : String(value)
}

/** Builds a page in the Prometheus text format, one family after the other. */
export class MetricsPage {
  readonly #style: PageStyle
  #text = ''

  constructor(style: PageStyle) {
    this.#style = style
  }

  gauge(name: string, help: string, samples: readonly Sample[]): void {
    this.#family(name, help, 'gauge')
    for (const sample of samples) this.#series(name, sample.labels ?? {}, sample.value)
  }

  /** `name` is the name of the series, `_total` included where the engine has it. */
  counter(name: string, help: string, samples: readonly Sample[]): void {
    this.#family(name, help, 'counter')
    for (const sample of samples) this.#series(name, sample.labels ?? {}, sample.value)
    this.#created(name.replace(/_total$/, ''), help, samples)
  }

  histogram(name: string, help: string, labels: Labels, histogram: Histogram): void {
    this.#family(name, help, 'histogram')
    this.#buckets(name, labels, histogram)
    this.#created(name, help, [{ labels, value: 0 }])
  }

  /** Several series of one histogram family. */
  histograms(name: string, help: string, series: readonly { labels: Labels; histogram: Histogram }[]): void {
    this.#family(name, help, 'histogram')
    for (const { labels, histogram } of series) this.#buckets(name, labels, histogram)
    this.#created(
      name,
      help,
      series.map(({ labels }) => ({ labels, value: 0 })),
    )
  }

  /** A summary without quantiles. */
  summary(name: string, help: string, series: readonly { labels: Labels; count: number; sum: number }[]): void {
    this.#family(name, help, 'summary')
    for (const { labels, count, sum } of series) {
      this.#series(`${name}_count`, labels, count)
      this.#series(`${name}_sum`, labels, sum)
    }
    this.#created(
      name,
      help,
      series.map(({ labels }) => ({ labels, value: 0 })),
    )
  }

  toString(): string {
    return this.#text
  }

  #buckets(name: string, labels: Labels, histogram: Histogram): void {
    const counts = histogram.cumulative()
    for (const [i, bound] of histogram.bounds.entries()) {
      this.#series(`${name}_bucket`, { ...labels, le: this.#style.number(bound) }, counts[i] ?? 0)
    }
    this.#series(`${name}_bucket`, { ...labels, le: '+Inf' }, histogram.count)
    this.#series(`${name}_count`, labels, histogram.count)
    this.#series(`${name}_sum`, labels, histogram.sum)
  }

  #created(name: string, help: string, samples: readonly Sample[]): void {
    const createdS = this.#style.createdS
    if (createdS === undefined || samples.length === 0) return
    this.#family(`${name}_created`, help, 'gauge')
    for (const { labels } of samples) this.#series(`${name}_created`, labels ?? {}, createdS)
  }

  #family(name: string, help: string, type: string): void {
    if (this.#style.hasHelp) this.#text += `# HELP ${name} ${help}\n`
    this.#text += `# TYPE ${name} ${type}\n`
  }

  #series(name: string, labels: Labels, value: number): void {
    const pairs = Object.entries(labels)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, text]) => `${key}="${text.replace(/[\\"]/g, '\\$&').replace(/\n/g, '\\n')}"`)
    this.#text += `${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${this.#style.number(value)}\n`
  }
}
