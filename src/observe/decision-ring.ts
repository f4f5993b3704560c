import type { DecisionHead, DecisionRecord } from '#contracts/decision-record.ts'

/** A decision as it is kept: its record is made when somebody asks. */
export interface KeptDecision extends Pick<DecisionHead, 'requestId' | 'model' | 'modelServer' | 'profile' | 'chosen'> {
  /** Memory that it keeps, about. */
  readonly bytes: number
  /** Candidates that its record has. */
  readonly candidates: number
  head(): DecisionHead
  record(): DecisionRecord
}

/** Which decisions are asked for; what is undefined is no condition. */
export interface DecisionQuery {
  readonly requestId: string | undefined
  readonly model: string | undefined
  readonly modelServer: string | undefined
  /** Id of the endpoint that was chosen. */
  readonly endpoint: string | undefined
  readonly profile: string | undefined
  /** Most decisions, at least 1. */
  readonly limit: number
  /** With candidates. */
  readonly isWhole: boolean
}

/** What a thread answers. */
export interface DecisionAnswer {
  /** Newest first. */
  readonly decisions: readonly (DecisionHead | DecisionRecord)[]
  /** There are more than were asked for, or than fit an answer. */
  readonly isTruncated: boolean
}

/** Candidates in one answer: making the records of more would keep the thread from its requests. About 10 ms. */
const maxCandidates = 4000

/** The last decisions of one thread, within bounds of number and memory. */
export class DecisionRing {
  readonly #maxCount: number
  readonly #maxBytes: number
  /** Oldest first. */
  readonly #kept: KeptDecision[] = []
  #bytes = 0

  constructor({ maxCount, maxBytes }: { readonly maxCount: number; readonly maxBytes: number }) {
    this.#maxCount = maxCount
    this.#maxBytes = maxBytes
  }

  get count(): number {
    return this.#kept.length
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Keeps a decision, which does not change any more; the oldest give way. One larger than the whole ring is not kept. */
  add(decision: KeptDecision): void {
    if (decision.bytes > this.#maxBytes) return
    this.#kept.push(decision)
    this.#bytes += decision.bytes
    while (this.#kept.length > this.#maxCount || this.#bytes > this.#maxBytes) {
      this.#bytes -= this.#kept.shift()?.bytes ?? 0
    }
  }

  /** The newest that fulfil all conditions. */
  recent(query: DecisionQuery): DecisionAnswer {
    const decisions: (DecisionHead | DecisionRecord)[] = []
    let candidates = 0
    for (const kept of this.#kept.toReversed()) {
      if (!fulfils(kept, query)) continue
      candidates += query.isWhole ? kept.candidates : 0
      const isFull = decisions.length > 0 && candidates > maxCandidates
      if (decisions.length === query.limit || isFull) return { decisions, isTruncated: true }
      decisions.push(query.isWhole ? kept.record() : kept.head())
    }
    return { decisions, isTruncated: false }
  }
}

function fulfils(kept: KeptDecision, query: DecisionQuery): boolean {
  return (
    (query.requestId === undefined || kept.requestId === query.requestId) &&
    (query.model === undefined || kept.model === query.model) &&
    (query.modelServer === undefined || kept.modelServer === query.modelServer) &&
    (query.endpoint === undefined || kept.chosen === query.endpoint) &&
    (query.profile === undefined || kept.profile === query.profile)
  )
}
