import type { EndpointPlan, ModelServerPlan, Snapshot } from '#config/snapshot.ts'

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
    timeouts: { connectMs: 5000, firstByteMs: 120_000, idleMs: 60_000, totalMs: 0 },
    retry: { attempts: 2, intervalMs: 0 },
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
    listeners: [],
    admin: { address: '127.0.0.1', port: 0 },
    limits: {
      headBytes: 65_536,
      headerCount: 128,
      bodyBytes: 33_554_432,
      headTimeoutMs: 10_000,
      bodyTimeoutMs: 30_000,
      keepAliveMs: 60_000,
      connectionsPerListener: 10_000,
      drainMs: 30_000,
    },
    logging: { level: 'info', accessLog: false },
    exposeEndpoint: false,
    routes: [],
    modelServers,
    profiles: {},
    ...given,
  }
}
