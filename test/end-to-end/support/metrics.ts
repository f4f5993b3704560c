import assert from 'node:assert/strict'

/** One line of a Prometheus page. */
export interface MetricSample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** A scraped page of the gateway. */
export class MetricsPage {
  readonly samples: readonly MetricSample[]

  constructor(text: string) {
    this.samples = text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map(parseSample)
  }

  /** Sum of all samples of that name whose labels include `labels`; 0 when there is none. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    return this.samples
      .filter((sample) => sample.name === name && includes(sample.labels, labels))
      .reduce((sum, { value }) => sum + value, 0)
  }
}

function includes(labels: Readonly<Record<string, string>>, wanted: Readonly<Record<string, string>>): boolean {
  return Object.entries(wanted).every(([name, value]) => labels[name] === value)
}

function parseSample(line: string): MetricSample {
  const match = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line)
  assert.ok(match, `not a line of a metrics page: ${line}`)
  const [, name = '', labelText = '', value = ''] = match
  const pairs = [...labelText.matchAll(/([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"/g)]
  const labels = Object.fromEntries(pairs.map(([, key = '', text = '']) => [key, text.replace(/\\(.)/g, '$1')]))
  return { name, labels, value: Number(value) }
}
