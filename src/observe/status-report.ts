/** Whether requests may be sent here. */
export interface Readiness {
  readonly ready: boolean
  /** Why not, or `ready`. */
  readonly reason: string
}

/** Facts that readiness follows from. */
export interface ReadinessFacts {
  readonly draining: boolean
  readonly listenersUp: boolean
  /** 0 when no configuration is in force. */
  readonly snapshotVersion: number
  readonly firstScrapeRoundEnded: boolean
  /** Since the first configuration came into force. */
  readonly sinceFirstSnapshotMs: number
}

/** Engines that do not answer their first scrape may not keep the gateway out of service for longer. */
const firstScrapeWaitMs = 2000

/** Decides readiness. */
export function readinessFrom(facts: ReadinessFacts): Readiness {
  if (facts.draining) return { ready: false, reason: 'draining' }
  if (facts.snapshotVersion === 0) return { ready: false, reason: 'no configuration is in force' }
  if (!facts.listenersUp) return { ready: false, reason: 'the listeners are not up' }
  if (!facts.firstScrapeRoundEnded && facts.sinceFirstSnapshotMs < firstScrapeWaitMs) {
    return { ready: false, reason: 'waiting for the first scrape of the endpoints' }
  }
  return { ready: true, reason: 'ready' }
}

/** Everything that the admin server says of the gateway, as plain data: JSON at /status, a page at /. */
export interface StatusReport {
  /** Version of the program. */
  readonly version: string
  readonly startedAtWallMs: number
  readonly uptimeMs: number
  readonly readiness: Readiness
  readonly snapshotVersion: number
  /** The last load of the configuration. */
  readonly reload: ReloadReport | undefined
  readonly listeners: readonly ListenerReport[]
  readonly models: readonly ModelReport[]
  readonly endpoints: readonly EndpointReport[]
  readonly threads: readonly ThreadReport[]
}

/** How the last load of the configuration went. */
export interface ReloadReport {
  readonly ok: boolean
  readonly atWallMs: number
  /** What is wrong and where, when it failed: the snapshot before stays in force. */
  readonly problems: readonly { readonly file: string; readonly line: number | undefined; readonly message: string }[]
}

/** A listener. */
export interface ListenerReport {
  readonly name: string
  /** As in a URL, with scheme and port. */
  readonly url: string
  readonly connections: number
}

/** A model or adapter that clients can name. */
export interface ModelReport {
  readonly name: string
  readonly route: string
  readonly modelServers: readonly string[]
}

/** A data thread. */
export interface ThreadReport {
  readonly name: string
  readonly state: 'serving' | 'starting' | 'stalled'
  readonly snapshotVersion: number
  readonly connections: number
  /** How often it has been replaced. */
  readonly restarts: number
  /** How long it has not run its event loop, from 3 s on. */
  readonly stalledMs: number
}

/** How often an endpoint was ejected, by reason. */
export interface EjectionCounts {
  /** Failures in a row. */
  readonly streak: number
  /** Too few successes. */
  readonly ratio: number
  /** The probe after an ejection failed. */
  readonly probe: number
}

/** How the KV events of an endpoint stand. */
export interface KvEventReport {
  /** Only what is live or partial is used; otherwise prompts are placed by what was sent where. */
  readonly state: 'live' | 'partial' | 'replaying' | 'quiet' | 'broken'
  /** Why it came to that. */
  readonly reason: string
  /** Since the engine last said anything. */
  readonly silentMs: number
  /** Blocks that it holds. */
  readonly blocks: number
  readonly batches: number
  readonly gaps: number
  readonly restarts: number
  readonly replays: number
  readonly failures: number
}

/** An endpoint, its load and how fresh that is. Undefined is what is not known. */
export interface EndpointReport {
  readonly modelServer: string
  readonly endpoint: string
  readonly engine: string
  readonly health: 'ready' | 'unready' | 'unknown'
  /** Where its breaker stands: what the gateway makes of how requests went there. */
  readonly state: 'closed' | 'slow-start' | 'ejected' | 'half-open'
  /** How long it stays ejected; undefined unless it is. */
  readonly ejectedForMs: number | undefined
  /** Ejections so far. */
  readonly ejections: EjectionCounts
  readonly running: number | undefined
  readonly waiting: number | undefined
  /** 0..1. */
  readonly kvUse: number | undefined
  readonly inFlight: number
  /** How its KV events stand; undefined when it has none. */
  readonly kvEvents?: KvEventReport | undefined
  readonly consecutiveErrors: number
  readonly ttftMs: number | undefined
  readonly tpotMs: number | undefined
  readonly adapters: readonly string[]
  /** Since the last successful scrape. */
  readonly scrapeAgeMs: number | undefined
  /** How long the last scrape took. */
  readonly scrapeMs: number | undefined
  readonly scrapeFailures: number
  /** What the last scrape failed of. */
  readonly scrapeError: string | undefined
}
