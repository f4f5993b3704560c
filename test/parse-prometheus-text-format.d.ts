/** The library has no types of its own. */
declare module 'parse-prometheus-text-format' {
  /** One series, or all buckets or quantiles of one. */
  export interface ParsedMetric {
    readonly labels?: Readonly<Record<string, string>>
    readonly value?: string
    readonly buckets?: Readonly<Record<string, string>>
    readonly quantiles?: Readonly<Record<string, string>>
    readonly count?: string
    readonly sum?: string
  }
  export interface ParsedFamily {
    readonly name: string
    readonly help: string
    readonly type: string
    readonly metrics: readonly ParsedMetric[]
  }
  /** Throws for text that is no page. */
  export default function parsePage(text: string): readonly ParsedFamily[]
}
