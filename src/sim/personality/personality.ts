import type { Exchange, Route } from '#sim/api/exchange.ts'
import type { Call } from '#sim/call.ts'
import type { EngineObserver } from '#sim/live-engine.ts'
import type { ReplyHeaders } from '#sim/reply.ts'

/** One finished HTTP exchange, for the page's HTTP metrics. */
export interface HttpRecord {
  /** The route's path, or `none` for a path that is not served. */
  readonly handler: string
  readonly method: string
  readonly status: number
  readonly requestBytes: number
  readonly responseBytes: number
  readonly durationMs: number
}

/** What makes a server look like one engine: its paths, its errors and its metrics page. */
export interface Personality {
  readonly routes: readonly Route[]
  readonly observer: EngineObserver
  /** Whether a path needs the API key. */
  isProtected(path: string): boolean
  /** Answers what no route takes: `404`, `405` (with the methods the path does take), or `401` for a missing key. */
  refuseHttp(exchange: Exchange, status: 401 | 404 | 405 | 413, allowed: readonly string[]): void
  /** Headers on every answer to a call; a `date` that is undefined keeps the usual one out. */
  commonHeaders(call: Call): ReplyHeaders
  recordHttp(record: HttpRecord): void
  /** Ends what it waits for; the server is about to close. */
  close?(): void
}
