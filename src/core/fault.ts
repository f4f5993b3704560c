/** Who is to blame for a fault: decides status, retry and who gets alerted. */
export type FaultSource = 'client' | 'upstream' | 'self'

/** An unexpected failure, with its source. Thrown, and caught once, in `pipeline`. */
export class Fault extends Error {
  readonly source: FaultSource
  /** Whether another endpoint may be tried. */
  readonly retryable: boolean

  constructor(source: FaultSource, message: string, options?: { retryable?: boolean; cause?: unknown }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'Fault'
    this.source = source
    this.retryable = options?.retryable ?? false
  }
}

/** The one funnel from anything caught to a Fault: what is not a Fault already is a mistake of ours. */
export function faultFrom(caught: unknown): Fault {
  if (caught instanceof Fault) return caught
  const message = caught instanceof Error ? caught.message : String(caught)
  return new Fault('self', message, { cause: caught })
}
