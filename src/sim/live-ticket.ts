import { hashTokenBlocks } from './model/block-hash.ts'
import type { EngineCall, EngineRequest } from './model/engine-request.ts'
import { hashText } from './tokens.ts'

/** One generation (or, with no output tokens, one pass over a prompt) to be done. */
export interface Work {
  readonly promptTokens: Uint32Array
  /** Output tokens to make, exactly; 0 only reads the prompt (embeddings and the like). */
  readonly outputTokens: number
  /** Ids of the output tokens; without them blocks that hold output are neither shared nor announced. */
  readonly outputIds?: Uint32Array
  /** What the end is counted as: the model stopped, or a token limit was reached. */
  readonly endsBy: 'stop' | 'length'
  readonly adapter: string | undefined
  /** Keeps its prefix blocks apart from those of other salts. */
  readonly cacheSalt: string
  /** Lower goes first; read only by engines that schedule by priority. */
  readonly priority?: number
  /** The data-parallel rank that has to do it; unset lets the balancer pick. */
  readonly rank?: number
  /** Leading prompt tokens whose KV a prefill engine holds: they are fetched instead of computed. */
  readonly remoteTokens?: number
  /** What the prefill engine calls that KV: for who tells it that the KV has come. */
  readonly remoteKey?: string
  /** Keeps its blocks after its end until {@link Ticket.releaseHeld}. */
  readonly holdsBlocks?: boolean
  /** Whether every token is told by itself, however many were made since the last was told. */
  readonly isPerToken?: boolean
  /** Frozen from the start: it takes its place and its blocks, and nothing comes of it. */
  readonly isFrozen?: boolean
  /** Called for `count` output tokens from number `first` on, in order; the very first token comes by itself. */
  onTokens?(first: number, count: number): void
  /** Called once after the last token; never after an abort. */
  onDone(): void
}

/** One work's place in the engine. Times are the engine's (`LiveEngine.nowMs`), 0 while not reached. */
export interface Ticket {
  readonly work: Work
  /** The data-parallel rank that does it. */
  readonly rank: number
  readonly phase: 'waiting' | 'running' | 'done' | 'aborted'
  /** Output tokens made so far; within {@link Work.onTokens} those told, the ones being told included. */
  readonly produced: number
  /** Prompt tokens found in the cache at the first admission. */
  readonly cachedTokens: number
  /** Prompt tokens in full blocks that were not cached before. */
  readonly newlyCachedTokens: number
  readonly preemptions: number
  readonly arrivedMs: number
  readonly admittedMs: number
  readonly firstTokenMs: number
  readonly lastTokenMs: number
  /** Takes it out of the engine at once, in any phase; does nothing after the end. */
  abort(): void
  /** Makes no more tokens for it; it keeps its place until aborted. */
  freeze(): void
  /** Ends the hold of its blocks after its end. */
  releaseHeld(): void
}

/** What the engine can be asked to do with a ticket. */
export interface TicketActions {
  abort(ticket: LiveTicket): void
  freeze(ticket: LiveTicket): void
  releaseHeld(ticket: LiveTicket): void
}

/** A work as the engine model sees it, and the tokens its blocks are made of. */
export interface LiveRequest {
  readonly request: EngineRequest
  /** Prompt, then output where its ids are known. */
  readonly tokens: Uint32Array
}

/** Adapter of a request: its number in the engine, and where it was loaded from. */
export interface AdapterPlace {
  readonly id: number
  readonly path: string
}

/** Makes the model's request of a work. Blocks are shared within one adapter (name and path) and cache salt. */
export function liveRequest(work: Work, blockSize: number, adapter: AdapterPlace | undefined): LiveRequest {
  const { promptTokens, outputTokens, outputIds, cacheSalt, priority, remoteTokens, holdsBlocks } = work
  const tokens = outputIds === undefined ? promptTokens : joined(promptTokens, outputIds)
  const salt = adapter === undefined ? `\n${cacheSalt}` : `${work.adapter} ${adapter.path}\n${cacheSalt}`
  const request = {
    // An engine computes at least one token for every request.
    promptTokens: Math.max(1, promptTokens.length),
    outputTokens,
    blockHashes: hashTokenBlocks(tokens, blockSize, saltOf(salt)),
    adapter: adapter === undefined ? -1 : adapter.id,
    ...(priority === undefined ? {} : { priority }),
    ...(remoteTokens === undefined ? {} : { remoteTokens }),
    ...(holdsBlocks === undefined ? {} : { holdsBlocks }),
  }
  return { request, tokens }
}

function joined(head: Uint32Array, tail: Uint32Array): Uint32Array {
  const tokens = new Uint32Array(head.length + tail.length)
  tokens.set(head)
  tokens.set(tail, head.length)
  return tokens
}

/** An integer in [0, 2^53), as block hashes are. */
function saltOf(text: string): number {
  return (hashText(text, 2) & 0x1fffff) * 4294967296 + hashText(text, 1)
}

/** A ticket of a live engine: what the model knows, and how much of it the caller was told. */
export class LiveTicket implements Ticket {
  readonly work: Work
  readonly rank: number
  readonly call: EngineCall
  readonly tokens: Uint32Array
  readonly #blockSize: number
  readonly #actions: TicketActions
  produced = 0
  /** Output tokens the caller was told. */
  told = 0
  isFrozen = false
  /** Whether it is on the list of those with something to tell. */
  isListed = false
  admittedMs = 0
  firstTokenMs = 0
  lastTokenMs = 0

  constructor(
    work: Work,
    place: { readonly rank: number; readonly call: EngineCall; readonly tokens: Uint32Array },
    engine: { readonly blockSize: number; readonly actions: TicketActions },
  ) {
    this.work = work
    this.rank = place.rank
    this.call = place.call
    this.tokens = place.tokens
    this.#blockSize = engine.blockSize
    this.#actions = engine.actions
  }

  get phase(): Ticket['phase'] {
    const { phase } = this.call
    if (phase === 'running') return 'running'
    if (phase === 'cancelled') return 'aborted'
    return phase === 'finished' || phase === 'held' ? 'done' : 'waiting'
  }

  get cachedTokens(): number {
    return this.call.cachedTokens
  }

  get newlyCachedTokens(): number {
    if (this.admittedMs === 0 && this.phase === 'waiting') return 0
    const blocks = Math.floor(this.work.promptTokens.length / this.#blockSize)
    return Math.max(0, blocks * this.#blockSize - this.call.cachedTokens)
  }

  get preemptions(): number {
    return this.call.preemptions
  }

  get arrivedMs(): number {
    return this.call.arrivedMs
  }

  abort(): void {
    this.#actions.abort(this)
  }

  freeze(): void {
    this.#actions.freeze(this)
  }

  releaseHeld(): void {
    this.#actions.releaseHeld(this)
  }
}
