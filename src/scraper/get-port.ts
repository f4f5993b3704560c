import type { UpstreamTls } from '#config/snapshot.ts'

/** Why a GET failed; few values, so that it may be the label of a metric. */
export type GetFailure = 'refused' | 'unreachable' | 'tls' | 'reset' | 'timeout' | 'protocol' | 'too-large'

/** How a GET ended. */
export type GetAnswer =
  | {
      readonly kind: 'answer'
      readonly status: number
      /** Valid only until the callback returns: the memory is used again. */
      readonly body: Buffer
    }
  | { readonly kind: 'failure'; readonly reason: GetFailure; readonly message: string }

/** Where to connect to, and what every request carries. */
export interface GetTarget {
  readonly host: string
  readonly port: number
  /** Undefined means plain HTTP. */
  readonly tls: UpstreamTls | undefined
  readonly headers: readonly { readonly name: string; readonly value: string }[]
}

/** Gets small documents from one server, one at a time, over a connection that is kept and made again when needed. */
export interface GetClient {
  /** Calls `done` exactly once, never before it returns. Faults when a request is under way. */
  get(path: string, done: (answer: GetAnswer) => void): void
  /** Ends the request under way, if any, as a failure for this reason, and its connection. */
  abort(reason: GetFailure): void
  /** Drops the connection; a request under way is never answered. */
  close(): void
}

/** Makes a client; nothing is connected before the first request. */
export type CreateGetClient = (target: GetTarget) => GetClient
