/** What a metric is. */
export type MetricType = 'counter' | 'gauge' | 'histogram'

/** Who writes a metric: the data threads, the main thread, or nobody (it is read from state at each scrape). */
export type MetricOrigin = 'data' | 'main' | 'read at scrape'

/** One metric: all that code, scrape and reference page say of it. */
export interface MetricDefinition<Type extends MetricType = MetricType, Label extends string = string> {
  readonly name: string
  readonly type: Type
  readonly help: string
  /** Unit of the value, in the words of Prometheus naming: seconds, bytes, ratio; '' for a plain count. */
  readonly unit: string
  /** Label names in the order of label values. */
  readonly labels: readonly Label[]
  /** Upper bounds, ascending, without +Inf; empty unless a histogram. */
  readonly buckets: readonly number[]
  readonly origin: MetricOrigin
  /** The OpenTelemetry GenAI metric that this one is, if it is one. */
  readonly convention: string | undefined
}

/** Label values of a metric, by label name. */
export type LabelsOf<Definition> =
  Definition extends MetricDefinition<MetricType, infer Label> ? Readonly<Record<Label, string>> : never

/** One value of a metric that is read at scrape. */
export interface Sample {
  readonly metric: MetricDefinition
  readonly labels: Readonly<Record<string, string>>
  /** NaN says that it is not known: the sample is left out of the page. */
  readonly value: number
}

/** Makes a sample whose labels fit its metric. */
export function sampleOf<Label extends string>(
  metric: MetricDefinition<MetricType, Label>,
  labels: Readonly<Record<Label, string>>,
  value: number,
): Sample {
  return { metric, labels, value }
}
