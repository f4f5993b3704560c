import type { CandidateRecord, DecisionHead, DecisionRecord } from '#contracts/decision-record.ts'

/** A candidate of which nothing but its name is known, but for what is given; for tests. */
export function candidateRecord(endpoint: string, given: Partial<CandidateRecord> = {}): CandidateRecord {
  return {
    endpoint,
    slot: 0,
    removedBy: undefined,
    leftOut: undefined,
    scores: [],
    weighted: [],
    total: null,
    reportAgeMs: null,
    observedAgeMs: null,
    restMs: 0,
    loads: {
      running: null,
      waiting: null,
      kvUse: null,
      inFlightAtReport: null,
      health: 0,
      inFlight: 0,
      prefilling: 0,
      uncachedTokens: 0,
      contextTokens: 0,
      ttftMs: null,
      tpotMs: null,
      prefillUs: null,
      consecutiveErrors: 0,
      ejected: 0,
      maxAdapters: null,
      adapterCount: null,
      blockSize: null,
      blockCount: null,
    },
    hasAdapter: false,
    facts: {
      cachedTokens: 0,
      inUseTokens: 0,
      missHolders: 0,
      missUses: 0,
      matchedBlocks: 0,
      inFlightTokens: 0,
      requestTokens: 0,
    },
    ...given,
  }
}

/** A decision that sent a request to `h:1` rather than `h:2`, but for what is given; for tests. */
export function decisionHead(given: Partial<DecisionHead> = {}): DecisionHead {
  return {
    requestId: 'id-1',
    attempt: 1,
    atWallMs: Date.UTC(2026, 0, 31, 12),
    thread: 'data-0',
    model: 'tiny',
    modelServer: 'models/tiny',
    profile: 'default',
    endpoints: 2,
    tried: [],
    filters: [{ type: 'usable', removed: [] }],
    scorers: [{ type: 'cost', weight: 1 }],
    picker: 'near-best',
    isProbe: false,
    chosen: 'h:1',
    runnerUp: 'h:2',
    fallbacks: ['h:2'],
    isFallback: false,
    reason: 'cost 1.00 to 0.40 against h:2',
    request: {
      promptBytes: 4096,
      maxTokens: 16,
      stream: true,
      hasSession: false,
      hasAdapter: false,
      promptTokens: 1024,
      missHash: 7,
      totalBlocks: 0,
      blockTokens: 0,
      factsKnown: ['promptTokens', 'cachedTokens'],
    },
    ...given,
  }
}

/** The same with its candidates; for tests. */
export function decisionRecord(given: Partial<DecisionRecord> = {}): DecisionRecord {
  const one = candidateRecord('h:1')
  return {
    ...decisionHead(given),
    candidates: [
      candidateRecord('h:2', { slot: 5, scores: [0.4], weighted: [0.4], total: 0.4 }),
      candidateRecord('h:1', {
        slot: 3,
        scores: [1],
        weighted: [1],
        total: 1,
        reportAgeMs: 1234,
        loads: { ...one.loads, kvUse: 0.42, inFlight: 3 },
        facts: { ...one.facts, cachedTokens: 960 },
      }),
    ],
    ...given,
  }
}
