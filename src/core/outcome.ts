import type { ApiName } from './api.ts'
import type { FaultSource } from './fault.ts'
import type { RefusalReason } from './refusal.ts'
import { noUsage, type Usage } from './usage.ts'

/** How far a request had come when its client left. */
export const abortPhases = ['receiving', 'queued', 'before-first-byte', 'answering'] as const

/** One of `abortPhases`. */
export type AbortPhase = (typeof abortPhases)[number]

/** Why a try at an endpoint did not give the answer: a refusal reason, or a status of the engine worth another try. */
export type AttemptReason = RefusalReason | 'status-429' | 'status-502' | 'status-503' | 'status-504'

/** A try at an endpoint that failed. */
export interface FailedAttempt {
  /** Key of the model server in the snapshot. */
  readonly modelServer: string
  /** Id of the endpoint. */
  readonly endpoint: string
  readonly reason: AttemptReason
}

/**
 * How a request ended: the one record that log, metrics and traces are made from. Instants are Clock.nowMs of the
 * thread that served it, NaN for what never happened. It carries neither prompt text nor credentials nor query strings.
 */
export interface Outcome {
  /** As returned in `x-request-id`. */
  readonly requestId: string
  readonly listener: string
  readonly clientAddress: string
  readonly method: string
  /** Without the query. */
  readonly path: string
  /** Undefined when the path leads to no API, or was never read. */
  readonly api: ApiName | undefined
  /** The model name as the client wrote it; '' when none was read. */
  readonly model: string
  /** The name sent upstream, when that differs from `model`. */
  readonly upstreamModel: string | undefined
  /** Name of the route that matched. */
  readonly route: string | undefined
  /** Key of the model server tried last. */
  readonly modelServer: string | undefined
  /** Id of the endpoint tried last. */
  readonly endpoint: string | undefined
  /** Why that endpoint, in the scheduler's words: one short line. */
  readonly why: string | undefined
  /** Type of the first scorer that had no signal and fell back to another rule. */
  readonly scorerFallback: string | undefined
  /**
   * Prompt tokens that the best endpoint in service had in its cache, as far as was known, and those that the one tried last
   * had: what lies between was given away for another advantage.
   */
  readonly reachableTokens: number
  readonly realizedTokens: number
  /** How many endpoints in service had at least half as much as the best, when that was 1,024 tokens or more; else 0. */
  readonly prefixCopies: number
  /** Tries at endpoints, the last one included. */
  readonly attempts: number
  /** The tries that failed, in order. */
  readonly failedAttempts: readonly FailedAttempt[]
  /** Keys of model servers passed over because no endpoint of theirs was usable. */
  readonly skippedTargets: readonly string[]
  /** Status that went to the client; 0 when none did. */
  readonly status: number
  /** The gateway's own no, when it answered one or cut the answer for it. */
  readonly refusal: RefusalReason | undefined
  /** Who is to blame when it did not go well; undefined when it did. */
  readonly errorSource: FaultSource | undefined
  /** Whether the client asked for a stream. */
  readonly stream: boolean
  /** True when an answer that had begun was ended by the gateway before it was complete. */
  readonly cut: boolean
  /** True when the engine's stream had an error event in it that was passed on. */
  readonly hasErrorEvent: boolean
  /** Set when the client left before its answer was complete. */
  readonly abort: AbortPhase | undefined
  /** First byte of the request head. */
  readonly startedAtMs: number
  /** Last byte of the request body. */
  readonly receivedAtMs: number
  /** The request was first given to an upstream socket. */
  readonly sentAtMs: number
  /** First bytes of the answer's body from the endpoint that answered: the first token of a stream. */
  readonly firstTokenAtMs: number
  /** Last bytes of the answer that carried tokens. */
  readonly lastTokenAtMs: number
  /** The endpoint's answer was complete, or had failed. */
  readonly upstreamEndAtMs: number
  /** The last byte was handed to the client's socket, or the client was gone. */
  readonly endedAtMs: number
  /** Bytes of the request body. */
  readonly requestBytes: number
  /** Bytes of the answer's body. */
  readonly responseBytes: number
  readonly usage: Usage
}

/** An outcome in the making. */
export type OutcomeDraft = { -readonly [Key in keyof Outcome]: Outcome[Key] }

const none: readonly never[] = []

/** An outcome of which nothing is known but when it began. Every outcome starts here, so that all have one shape. */
export function draftOutcome(startedAtMs: number): OutcomeDraft {
  return {
    requestId: '',
    listener: '',
    clientAddress: '',
    method: '',
    path: '',
    api: undefined,
    model: '',
    upstreamModel: undefined,
    route: undefined,
    modelServer: undefined,
    endpoint: undefined,
    why: undefined,
    scorerFallback: undefined,
    reachableTokens: 0,
    realizedTokens: 0,
    prefixCopies: 0,
    attempts: 0,
    failedAttempts: none,
    skippedTargets: none,
    status: 0,
    refusal: undefined,
    errorSource: undefined,
    stream: false,
    cut: false,
    hasErrorEvent: false,
    abort: undefined,
    startedAtMs,
    receivedAtMs: Number.NaN,
    sentAtMs: Number.NaN,
    firstTokenAtMs: Number.NaN,
    lastTokenAtMs: Number.NaN,
    upstreamEndAtMs: Number.NaN,
    endedAtMs: Number.NaN,
    requestBytes: 0,
    responseBytes: 0,
    usage: noUsage,
  }
}
