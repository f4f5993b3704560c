/** Why an endpoint was picked: a few numbers, put into words only when asked. */
export class Decision {
  /** Type of the scorer that spoke most for the endpoint; undefined when none preferred it. */
  readonly scorer: string | undefined
  /** That scorer's score of it, 0..1. */
  readonly score: number
  /** Type of the first scorer that had no signal of its own and fell back to another. */
  readonly fallback: string | undefined
  /** Endpoints that were compared, after the filters. */
  readonly candidates: number
  /** Endpoints of the model server. */
  readonly endpoints: number
  /** Endpoints left out because this request has failed on them. */
  readonly tried: number
  /** Endpoints of the model server that are ejected after failures. */
  readonly ejected: number
  /** The request probes an ejected endpoint. */
  readonly isProbe: boolean
  /** The endpoint was the next best of the decision for the try before. */
  readonly isFallback: boolean

  constructor(lead: Lead, counts: DecisionCounts) {
    this.scorer = lead.scorer
    this.score = lead.score
    this.fallback = lead.fallback
    this.candidates = counts.candidates
    this.endpoints = counts.endpoints
    this.tried = counts.tried
    this.ejected = counts.ejected
    this.isProbe = counts.isProbe
    this.isFallback = counts.isFallback === true
  }

  /** One short line for the access log: `least-request 0.93 of 3`. */
  text(): string {
    if (this.isProbe) return 'probe of an ejected endpoint'
    const suffix = `${this.ejected > 0 ? `, ${this.ejected} ejected` : ''}${this.tried > 0 ? ', retry' : ''}`
    if (this.isFallback) return `next best of the try before${suffix}`
    if (this.candidates === 1)
      return `${this.endpoints === 1 ? 'only one' : `only 1 of ${this.endpoints} left`}${suffix}`
    const why = this.scorer === undefined ? 'even' : `${this.scorer} ${this.score.toFixed(2)}`
    const without = this.fallback === undefined ? '' : `, no signal for ${this.fallback}`
    return `${why} of ${this.candidates}${without}${suffix}`
  }
}

/** The scorer that decided. */
export interface Lead {
  readonly scorer: string | undefined
  readonly score: number
  /** Type of the first scorer that had no signal of its own and fell back to another. */
  readonly fallback?: string | undefined
}

/** How many endpoints a decision was about. */
export interface DecisionCounts {
  readonly candidates: number
  readonly endpoints: number
  readonly tried: number
  readonly ejected: number
  readonly isProbe: boolean
  readonly isFallback?: boolean | undefined
}
