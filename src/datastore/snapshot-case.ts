import type { EjectionPlan, EndpointPlan, ListenerPlan, ModelServerPlan, Snapshot } from '#config/snapshot.ts'

/** An endpoint without a slot, as the configuration gives it; for tests. */
export function endpointPlan(id: string, given: Partial<EndpointPlan> = {}): EndpointPlan {
  const [host = '', port = '0'] = id.split(':')
  return {
    id,
    slot: -1,
    generation: -1,
    host,
    port: Number.parseInt(port, 10),
    engine: 'vllm',
    scrape: undefined,
    rank: undefined,
    role: 'both',
    labels: {},
    ...given,
  }
}

/** The usual ejection settings without slow start, but for what is given; for tests. */
export function ejectionPlan(given: Partial<EjectionPlan> = {}): EjectionPlan {
  return {
    failures: 3,
    successRatio: 0.5,
    minRequests: 20,
    windowMs: 10_000,
    baseMs: 1000,
    maxMs: 30_000,
    slowStartMs: 0,
    ...given,
  }
}

/** A model server with endpoints of these ids; for tests. */
export function modelServerPlan(
  key: string,
  ids: readonly string[],
  given: Partial<ModelServerPlan> = {},
): ModelServerPlan {
  return {
    key,
    engine: 'vllm',
    servedModel: undefined,
    endpoints: ids.map((id) => endpointPlan(id)),
    tls: undefined,
    basePath: '',
    setHeaders: [],
    timeouts: { connectMs: 5000, firstByteMs: 120_000, idleMs: 60_000, totalMs: 0, tunnelIdleMs: 600_000 },
    retry: { attempts: 2, intervalMs: 0, afterSent: 1 },
    ejection: ejectionPlan(),
    profile: 'default',
    scrape: undefined,
    injectUsage: true,
    ...given,
  }
}

/** A snapshot with these model servers and nothing else, but for what is given; for tests. */
export function snapshotOf(modelServers: readonly ModelServerPlan[], given: Partial<Snapshot> = {}): Snapshot {
  return {
    version: 1,
    threads: undefined,
    listeners: [],
    cors: undefined,
    admin: { address: '127.0.0.1', port: 0 },
    limits: {
      headBytes: 65_536,
      headerCount: 128,
      bodyBytes: 33_554_432,
      headTimeoutMs: 10_000,
      bodyTimeoutMs: 30_000,
      keepAliveMs: 60_000,
      requestsPerConnection: 0,
      handshakeTimeoutMs: 10_000,
      stalledReaderMs: 60_000,
      unsentBytes: 268_435_456,
      eventLoopDelayMs: 0,
      memoryBytes: undefined,
      drainDelayMs: 0,
      drainMs: 30_000,
    },
    logging: { level: 'info', accessLog: false },
    exposeEndpoint: false,
    explain: { isAllowed: false, recordEvery: 0 },
    choice: undefined,
    sessions: [{ from: 'body', name: '' }],
    routes: [],
    modelServers,
    profiles: {},
    ...given,
  }
}

/** A plain listener on a port that the system chooses, but for what is given; for tests. */
export function listenerPlan(given: Partial<ListenerPlan> = {}): ListenerPlan {
  return {
    name: 'test',
    address: '127.0.0.1',
    port: 0,
    tls: undefined,
    http2: false,
    proxyProtocol: false,
    trustedProxies: [],
    connections: 10_000,
    connectionsPerClient: 0,
    ...given,
  }
}
