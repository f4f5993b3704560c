import type { Usage } from '#core/usage.ts'

/** Where a filter puts the bytes for the client. */
export interface ReplySink {
  write(data: Buffer, start: number, end: number): void
}

/**
 * Stands between the body of an engine's answer and the client: passes bytes on, mostly untouched, and reads usage
 * from them on the way.
 */
export interface ReplyFilter {
  /** Tokens as the engine reported them so far. */
  readonly usage: Usage
  /** Takes bytes of the body. What is kept beyond the call is copied. */
  push(data: Buffer, start: number, end: number, sink: ReplySink): void
  /** The body is complete: passes on what was held back. */
  finish(sink: ReplySink): void
  /**
   * By how many bytes the body grows, once that is known (negative: shrinks); undefined when it cannot be known before
   * the end. Asked when the first bytes for the client are at hand.
   */
  lengthChange(): number | undefined
}

/** What a filter has to do. */
export interface ReplyWork {
  /** The name the client used, to be put back; undefined when the body may keep the engine's. */
  readonly clientModel: string | undefined
  /** Whether the usage chunk was asked for by the gateway and is to be hidden. */
  readonly hideUsage: boolean
}
