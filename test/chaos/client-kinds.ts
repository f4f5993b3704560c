/** What clients do to the gateway, and how often. */
export interface ClientRow {
  readonly kind: ClientKind
  readonly weight: number
  /** Most requests on one connection. */
  readonly requests: number
  /** Fixed size of prompts and answers, where the behaviour needs one. */
  readonly promptBytes?: number
  readonly answerBytes?: number
  /** The engine has no part in what goes wrong. */
  readonly isPatient?: boolean
}

/** Name of a way to be a client. */
export type ClientKind =
  | 'keep-alive'
  | 'pipelining'
  | 'one-shot'
  | 'http-1.0'
  | 'split-writes'
  | 'chunked-body'
  | 'expect-continue'
  | 'leaves-in-head'
  | 'leaves-in-body'
  | 'leaves-while-waiting'
  | 'leaves-in-answer'
  | 'half-closes'
  | 'pauses-reading'
  | 'never-reads'
  | 'slow-head'
  | 'slow-body'
  | 'stuck-body'
  | 'garbage'
  | 'malformed-head'
  | 'oversized-head'
  | 'oversized-body'
  | 'says-nothing'
  | 'crowd'

/** Every kind, most frequent first. */
export const clientKinds: readonly ClientRow[] = [
  { kind: 'keep-alive', weight: 36, requests: 8 },
  { kind: 'pipelining', weight: 8, requests: 5 },
  { kind: 'one-shot', weight: 8, requests: 1 },
  { kind: 'http-1.0', weight: 3, requests: 1 },
  { kind: 'split-writes', weight: 6, requests: 3 },
  { kind: 'chunked-body', weight: 5, requests: 3 },
  { kind: 'expect-continue', weight: 3, requests: 2 },
  { kind: 'leaves-in-head', weight: 2, requests: 1 },
  { kind: 'leaves-in-body', weight: 3, requests: 1, promptBytes: 20_000 },
  { kind: 'leaves-while-waiting', weight: 5, requests: 1 },
  { kind: 'leaves-in-answer', weight: 5, requests: 1 },
  { kind: 'half-closes', weight: 2, requests: 1 },
  { kind: 'pauses-reading', weight: 1.5, requests: 1, answerBytes: 1_500_000 },
  { kind: 'never-reads', weight: 0.1, requests: 1, answerBytes: 16_000_000, isPatient: true },
  { kind: 'slow-head', weight: 0.3, requests: 1 },
  { kind: 'slow-body', weight: 1, requests: 1 },
  { kind: 'stuck-body', weight: 0.3, requests: 1 },
  { kind: 'garbage', weight: 2, requests: 1 },
  { kind: 'malformed-head', weight: 3, requests: 1 },
  { kind: 'oversized-head', weight: 1, requests: 1 },
  { kind: 'oversized-body', weight: 1, requests: 1 },
  { kind: 'says-nothing', weight: 1, requests: 1 },
  { kind: 'crowd', weight: 0.05, requests: 1 },
]
