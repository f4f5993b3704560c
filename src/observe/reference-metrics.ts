import { allMetrics } from './catalog.ts'
import type { MetricDefinition } from './metric-definition.ts'

const introduction = `# Metrics

The admin port serves them at \`/metrics\` in the Prometheus text format, together with the process metrics of
prom-client (\`process_*\`, \`nodejs_*\`, of the main thread).

Metrics that begin with \`gen_ai_\` are those of the
[OpenTelemetry GenAI conventions](https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/gen-ai-metrics.md)
(status: Development) in Prometheus form: dots become underscores and the unit is appended. Their labels and buckets are
the ones the conventions give; \`gen_ai_provider_name\` is the engine of the model server.

Labels are bounded. A model, model server or listener that the configuration does not know is \`other\`, an absent one
is \`none\`, and a metric with more than 2,000 series in a thread puts the rest into the series whose labels are all
\`other\`. A value that is not known is absent, never zero: an engine that says nothing is not idle.`

const originTexts: Readonly<Record<MetricDefinition['origin'], string>> = {
  data: 'Written by the data threads',
  main: 'Written by the main thread',
  'read at scrape': 'Read at each scrape',
}

/** The reference page of the metrics, made from the catalog. */
export function renderMetricsReference(): string {
  const sections = (['data', 'main', 'read at scrape'] as const).map((origin) => {
    const rows = allMetrics.filter((metric) => metric.origin === origin).map(renderRow)
    const head = '| metric | type | labels | meaning |\n|---|---|---|---|'
    return `## ${originTexts[origin]}\n\n${[head, ...rows].join('\n')}`
  })
  const buckets = allMetrics.filter(({ type }) => type === 'histogram').map(renderBuckets)
  return `${[introduction, ...sections, `## Buckets\n\n| histogram | upper bounds |\n|---|---|\n${buckets.join('\n')}`].join('\n\n')}\n`
}

const cell = (text: string): string => text.replace(/[\\|]/g, '\\$&').replace(/\n/g, ' ')

function renderRow({ name, type, labels, help, convention }: MetricDefinition): string {
  const source = convention === undefined ? '' : ` OpenTelemetry \`${convention}\`.`
  return `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${cell(help)}${source} |`
}

function renderBuckets({ name, buckets, unit }: MetricDefinition): string {
  return `| \`${name}\` | ${buckets.join(', ')}${unit === '' ? '' : ` ${unit}`} |`
}
