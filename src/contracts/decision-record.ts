import type { LoadColumns } from './load.ts'
import type { Facts } from './schedule.ts'

/** A load column that holds one number per endpoint. */
export type LoadColumn = Exclude<keyof LoadColumns, 'hasAdapter'>

/** A fact that is one number per endpoint. */
export type FactColumn = {
  [Key in keyof Facts]-?: Facts[Key] extends Float64Array ? Key : never
}[keyof Facts]

/**
 * Why an endpoint was left out. `unready`: by its own word. `ejected`: after failures. `resting`: at its own wish.
 * `starting`: it has just come back. `filtered`: by another filter of the profile.
 */
export type LeftOut = 'unready' | 'ejected' | 'resting' | 'starting' | 'filtered'

/** What was known of one endpoint when the decision was made, and what was made of it. Null is what was not known. */
export interface CandidateRecord {
  /** Id of the endpoint. */
  readonly endpoint: string
  /** Its row of the endpoint table: pickers may choose among equals by it. */
  readonly slot: number
  /** How much it can do, as its configuration declares; undefined: it does not. */
  readonly capacity?: number
  /** The filter that removed it; undefined when none did. */
  readonly removedBy: string | undefined
  readonly leftOut: LeftOut | undefined
  /** Raw score 0..1 by scorer, in the order of `scorers`; null for no opinion, empty when it was removed. */
  readonly scores: readonly (number | null)[]
  /** What each scorer added to the total: weight times score, or times the mean of the others without an opinion. */
  readonly weighted: readonly number[]
  readonly total: number | null
  /** Age of what the engine reported, ms; null before the first report. */
  readonly reportAgeMs: number | null
  /** Age of what was observed of its answers, ms; null before the first. */
  readonly observedAgeMs: number | null
  /** How long it still wants no requests, ms; 0 when it does not rest. */
  readonly restMs: number
  /** The load columns but for their instants, which are the ages above. */
  readonly loads: Readonly<Record<Exclude<LoadColumn, 'reportedAtMs' | 'observedAtMs' | 'restUntilMs'>, number | null>>
  /** Whether the adapter asked for is loaded there, as far as known. */
  readonly hasAdapter: boolean
  readonly facts: Readonly<Record<FactColumn, number>>
}

/** A decision but for its candidates. Holds neither prompt text nor the session of the request. */
export interface DecisionHead {
  readonly requestId: string
  /** Which try of the request, from 1. */
  readonly attempt: number
  readonly atWallMs: number
  /** Name of the data thread that decided. */
  readonly thread: string
  /** The name the engine sees. */
  readonly model: string
  readonly modelServer: string
  readonly profile: string
  /** How many endpoints the model server has. */
  readonly endpoints: number
  /** Endpoints left out because this request had failed on them. */
  readonly tried: readonly string[]
  readonly filters: readonly { readonly type: string; readonly removed: readonly string[] }[]
  readonly scorers: readonly { readonly type: string; readonly weight: number }[]
  /** Undefined when there was nothing to choose among. */
  readonly picker: string | undefined
  /** The request was sent as the probe of an ejected endpoint. */
  readonly isProbe: boolean
  /** Undefined when the request was refused. */
  readonly chosen: string | undefined
  /** The first of `fallbacks`; undefined when there was none. */
  readonly runnerUp: string | undefined
  /** Those that would have been picked next, best first; a few at most. */
  readonly fallbacks: readonly string[]
  /** The endpoint was taken from the `fallbacks` of the try before, and nothing was scored. */
  readonly isFallback: boolean
  /** One line. */
  readonly reason: string
  readonly request: RequestRecord
}

/** The request as plug-ins saw it, less its text. */
export interface RequestRecord {
  /** Bytes of text that the prompt counts as: pictures and the like count as the tokens that engines make of them. */
  readonly promptBytes: number
  readonly maxTokens: number | undefined
  readonly stream: boolean
  readonly hasSession: boolean
  /** Asks for an adapter. */
  readonly hasAdapter: boolean
  /** The facts that are one number. */
  readonly promptTokens: number
  readonly missHash: number
  readonly totalBlocks: number
  readonly blockTokens: number
  /** Facts that were written; the others are 0. */
  readonly factsKnown: readonly (keyof Facts)[]
  /** How much it shares with other prompts; undefined: nobody found out. */
  readonly promptMarks?: PromptMarks
}

/** Hashes of how a prompt begins, at some of its blocks (schedule/prompt-marks.ts): equal ones say that all before is equal. */
export interface PromptMarks {
  /** Tokens of a block, an estimate. */
  readonly blockTokens: number
  readonly blocks: number
  /** 32 bits each. */
  readonly hashes: readonly number[]
}

/** One decision with all its reasons and inputs, as plain data. */
export interface DecisionRecord extends DecisionHead {
  /** The endpoints that the request had not failed on, in the order of the configuration. */
  readonly candidates: readonly CandidateRecord[]
}
