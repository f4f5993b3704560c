import type { Rng } from '#core/clock.ts'
import type { EndpointRole } from '#core/endpoint.ts'
import type { HeaderList } from '#core/header-list.ts'
import type { Body, PromptSpan } from '#core/request.ts'
import type { LoadColumns } from './load.ts'

/** What a plug-in may know of a request. */
export interface ScheduleRequest {
  /** The model name the engine will see. */
  readonly model: string
  /** Interned id of the adapter asked for, or -1 for the base model (or when too many names are known). */
  readonly adapter: number
  readonly headers: HeaderList
  /** The body as the client sent it, and where in it the prompt is: for prefix scorers. */
  readonly body: Body
  readonly promptSpans: readonly PromptSpan[]
  readonly promptBytes: number
  readonly maxTokens: number | undefined
  readonly session: string | undefined
  /** What the client keeps its cached prompts apart with: prompts with different ones share nothing. */
  readonly cacheSalt: string | undefined
  readonly stream: boolean
  /** The profile that places the request, when that is not its model server's. */
  readonly profile?: ProfileChoice | undefined
  /** Clock.nowMs at the decision. */
  readonly nowMs: number
}

/** The profile that the route or the request itself asks for. */
export interface ProfileChoice {
  /** Of a profile in the snapshot. */
  readonly name: string
  /** Weights in place of those of the profile, one per scorer in its order; 0 leaves a scorer out. */
  readonly weights?: readonly number[] | undefined
}

/** The endpoints still in question. Filters shrink it in place; scorers and pickers only read. */
export interface Candidates {
  /** Slots in the endpoint table; only the first `count` are valid. Owned by the scheduler, reused per decision. */
  readonly slots: Int32Array
  count: number
  readonly loads: LoadColumns
}

/**
 * What producers found out about the request being placed, before filters and scorers run. One object per profile and thread,
 * valid for one decision; columns are indexed by slot and hold values for the candidates only.
 */
export interface Facts {
  /** Tokens of the prompt, at least 1: an estimate unless a producer knows better. */
  promptTokens: number
  /** Prompt tokens in the KV cache of each endpoint, as far as known: 0 to `promptTokens`. */
  readonly cachedTokens: Float64Array
  /** Those of them that requests in flight there use: they take no memory once more. */
  readonly inUseTokens: Float64Array
  /**
   * Of the first block of the prompt that is missing at an endpoint: how many endpoints hold it, and how many requests in flight
   * use it. 0 when nobody does.
   */
  readonly missHolders: Float64Array
  readonly missUses: Float64Array
  /** A hash of the part of the prompt that no endpoint holds, for choosing among equals the same way again; 32 bits. */
  missHash: number
  /**
   * Blocks of the prompt that each endpoint holds, of `totalBlocks` with `blockTokens` tokens each, the last one maybe not full:
   * how the Endpoint Picker looks at a prompt. `totalBlocks` is 0 when no producer cut it.
   */
  readonly matchedBlocks: Float64Array
  totalBlocks: number
  blockTokens: number
  /** Tokens in flight at each endpoint, and those that the request would add to them there. */
  readonly inFlightTokens: Float64Array
  readonly requestTokens: Float64Array
  /** The prompt as a producer has hashed it, for records; undefined: none does. Not for plug-ins. */
  promptChain?: PromptChain
}

/** A prompt as hashes of its blocks, each over all that stands before it; two 32-bit words each. Reused by its producer. */
export interface PromptChain {
  readonly chain: { readonly hashes: Int32Array; readonly blocks: number }
  /** Tokens of a block, an estimate. */
  readonly blockTokens: number
}

/** What plug-ins may know of an endpoint, beside its load. */
export interface KnownEndpoint {
  /** `host:port`, or `host:port#rank`. */
  readonly id: string
  /** Name or literal address; IPv6 without brackets. */
  readonly host: string
  readonly port: number
  readonly role: EndpointRole
  readonly labels: Readonly<Record<string, string>>
}

/** One request at the endpoint where it was placed, as a plug-in hears of it. */
export interface Placement {
  /** Headers that the client gets with the answer of this endpoint. */
  readonly replyHeaders?: HeaderList
  /** The answer has begun. At most once. `nowMs` is Clock.nowMs. */
  firstToken?(nowMs: number): void
  /** The request has left the endpoint. Once, after `firstToken` if that came. */
  ended(end: PlacementEnd): void
}

/** How a request left its endpoint. */
export interface PlacementEnd {
  /** Whether anything of an answer came. */
  readonly isAnswered: boolean
  /** Output tokens; NaN when unknown. */
  readonly outputTokens: number
}

/** What any plug-in may want to hear besides its own part. */
export interface Listener {
  /** The request goes to this slot, for certain: returns who hears how it fares there, or undefined. */
  placed?(request: ScheduleRequest, slot: number): Placement | undefined
}

/** Finds out what other plug-ins read. */
export interface Producer extends Listener {
  /** Writes those of the facts that its definition names in `writes`, for every candidate. */
  produce(request: ScheduleRequest, candidates: Candidates): void
}

/** Removes endpoints that must not serve the request. */
export interface Filter extends Listener {
  /**
   * Compacts `candidates.slots` in place and sets `count`. May leave none: the scheduler then refuses, or asks the
   * profile's next filter, as the profile says. Must keep the order.
   */
  filter(request: ScheduleRequest, candidates: Candidates): void
}

/** Says how good each endpoint is. */
export interface Scorer extends Listener {
  /**
   * Writes a score in [0, 1] (1 is best), or NaN for "no opinion", to `out[i]` for each i < candidates.count.
   * No opinion counts as the mean of the opinions given for that request; if nobody has one the scorer is left out.
   */
  score(request: ScheduleRequest, candidates: Candidates, out: Float64Array): void
  /**
   * Whether the scores just written are by another signal because its own was missing for every candidate. That is
   * counted and shown with the decision.
   */
  fellBack?(): boolean
}

/** Chooses one of the scored endpoints. */
export interface Picker extends Listener {
  /** Returns an index < candidates.count; count is at least 1. `scores` are weighted sums, all finite. */
  pick(request: ScheduleRequest, candidates: Candidates, scores: Float64Array): number
  /**
   * Scores of at least the greatest divided by one more than this are as good as the greatest: for ranking the others behind the
   * one picked, which the scheduler does. 0 unless given.
   */
  readonly tolerance?: number
}

/** What the profiles of one request have found so far, by their index. Owned by the scheduler, reused per decision. */
export interface ProfileResults {
  /** How many have run. */
  readonly runs: number
  /** The slot that each picked; `profileResult.none` of one that found no endpoint, `profileResult.notRun` before it has run. */
  readonly slots: Int32Array
}

/** What stands in `ProfileResults.slots` in place of a slot. */
export const profileResult = { none: -1, notRun: -2 } as const

/** Decides which of several profiles place a request, and what becomes of what they find. Keeps nothing of one request. */
export interface ProfileHandler {
  /**
   * Index (in PluginPorts.profiles) of the profile to run next, one that has not run; -1 when enough have run. -1 at once refuses
   * the request as one that asks for a profile that there is not. Every run looks at all endpoints that the request has not
   * failed on. A run that makes the request the probe of an ejected endpoint is the last one.
   */
  next(request: ScheduleRequest, results: ProfileResults): number
  /** Index of the profile whose pick serves the request, one that found an endpoint; -1: none does, the request is refused. */
  primary(request: ScheduleRequest, results: ProfileResults): number
}

/** A prompt whose tokens are not known. */
export interface PromptQuestion {
  /** Of an endpoint that may be asked. */
  readonly slot: number
  /** The name that the engine knows. */
  readonly model: string
  /** Name of the adapter; '' for the base model. */
  readonly adapter: string
  /** What the client keeps its prompts apart with. */
  readonly cacheSalt: string | undefined
  /** As the one who asks will know the prompt again: see struct/learned-prompts.ts. */
  readonly identity: number
  readonly starts: Float64Array
  readonly promptBytes: number
  /** A copy of the body as the client sent it. */
  readonly body: Uint8Array
}

/** What is known exactly of the caches of endpoints whose engines tell. Outlives reloads. */
export interface ExactPorts {
  /** Of an index (struct/prefix-index.ts) of what engines said, which threads only read. */
  readonly memory: { readonly buffer: SharedArrayBuffer }
  /** By slot: 0 nothing is known; n, a key stands at every n-th unit of tokens; -n, the same, and there may be more. */
  readonly units: Int32Array
  /** Prompts whose tokens are known to this thread. */
  readonly prompts: KnownPrompts
  /** Asks for the tokens of a prompt, some time; `prompts` has them then. */
  readonly ask: (question: PromptQuestion) => void
}

/** Tokens of prompts (struct/learned-prompts.ts). */
export interface KnownPrompts {
  has(identity: number): boolean
  find(
    identity: number,
    starts: Float64Array,
    count: number,
  ): { readonly keys: Int32Array; readonly units: number; readonly tokens: number | undefined } | undefined
}

/** What a plug-in's factory is handed. */
export interface PluginPorts {
  readonly rng: Rng
  /** The endpoint in a slot; undefined for a slot that is not of the snapshot. */
  readonly endpointOf: (slot: number) => KnownEndpoint | undefined
  /** Of the profile that the plug-in belongs to. */
  readonly facts: Facts
  /** Names of the profiles that a profile handler chooses among, in order; undefined for all other plug-ins. */
  readonly profiles?: readonly string[] | undefined
  /**
   * How much each endpoint can do compared with the others, by slot, as the configuration declares it; undefined: nobody has
   * declared anything, and all are alike.
   */
  readonly capacities?: Float64Array | undefined
  /**
   * Memory that all threads share and that outlives reloads, zeroed at first, for an index of prompts; undefined: a producer
   * makes its own.
   */
  readonly prefixMemory?: { readonly buffer: SharedArrayBuffer } | undefined
  /** What engines tell of their caches; undefined: nobody listens. */
  readonly exact?: ExactPorts | undefined
  /** The same for the places of sessions (struct/session-table.ts); undefined: a plug-in makes its own. */
  readonly sessionMemory?: SharedArrayBuffer | undefined
  /** Clock.wallMs, for what has to outlive the process or is read by another; undefined: there is no such thing. */
  readonly wallMs?: (() => number) | undefined
}
