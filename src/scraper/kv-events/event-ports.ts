import type { EndpointPlan, KvEventPlan, ModelServerPlan } from '#config/snapshot.ts'
import type { CreateGetClient, GetAnswer, GetClient } from '#scraper/get-port.ts'

/** What came of asking an engine where it publishes its events. */
export type FoundPorts =
  | { readonly kind: 'found'; readonly ports: KvEventPlan }
  /** It answers, but cannot tell: what is configured has to do. */
  | { readonly kind: 'untold' }
  /** It does not publish, or not where the gateway could listen, or does not answer. */
  | { readonly kind: 'none'; readonly reason: string }

/** What the engine answers the question at: vLLM 0.32 and later. */
const path = '/kv_event_sources'

const maxAnswerBytes = 64 * 1024

/** So much of what an engine answers stands in a reason: those are kept, shown and logged. */
const shownCharacters = 100
const timeoutMs = 2000
const notImplemented = 501
const retryMs = 10_000

/**
 * Asks one engine for the ports of its KV events, one question at a time. An engine that was started anew may have other
 * ports, when the system chooses them.
 */
export class EventPortQuery {
  readonly #client: GetClient
  readonly #path: string
  readonly #rank: number
  #startedMs: number | undefined = undefined
  #askedMs = Number.NEGATIVE_INFINITY

  constructor(
    { host, port, rank = 0 }: EndpointPlan,
    { tls, setHeaders, basePath }: ModelServerPlan,
    createGetClient: CreateGetClient,
  ) {
    this.#client = createGetClient({ host, port, tls, headers: setHeaders })
    this.#path = `${basePath}${path}`
    this.#rank = rank
  }

  /** Asks when it is time to ask again, and ends a question that takes too long. */
  tick(nowMs: number, isWanted: boolean, done: (found: FoundPorts) => void): void {
    if (this.#startedMs !== undefined) {
      if (nowMs - this.#startedMs > timeoutMs) this.#client.abort('timeout')
      return
    }
    if (!isWanted || nowMs - this.#askedMs < retryMs) return
    this.#askedMs = nowMs
    this.#startedMs = nowMs
    this.#client.get(this.#path, (answer) => {
      this.#startedMs = undefined
      done(portsOf(answer, this.#rank))
    })
  }

  close(): void {
    this.#client.close()
  }
}

/** Reads an answer: by rank, the publisher's configuration with the addresses that are in use. */
function portsOf(answer: GetAnswer, rank: number): FoundPorts {
  if (answer.kind === 'failure')
    return { kind: 'none', reason: `the engine was asked for its ports: ${answer.message}` }
  // One that is still loading, behind a proxy: at the configured port there may be another engine's events, and nobody would ask again.
  if (answer.status >= 500 && answer.status !== notImplemented)
    return { kind: 'none', reason: `the engine was asked for its ports and answered ${answer.status}` }
  // Another engine, or an older one, or one that tells only those who may administer it.
  if (answer.status !== 200 || answer.body.length > maxAnswerBytes) return { kind: 'untold' }
  const sources = parsed(answer.body)
  if (!isRecord(sources)) return { kind: 'untold' }
  const source = sources[String(rank)]
  if (!isRecord(source)) return { kind: 'none', reason: 'the engine says that it publishes no events' }
  const { endpoint, replay_endpoint: replay } = source
  const port = portOf(endpoint)
  if (port === undefined) {
    const shown = JSON.stringify(endpoint ?? null).slice(0, shownCharacters)
    return { kind: 'none', reason: `the engine publishes at ${shown}, which is no port` }
  }
  return { kind: 'found', ports: { port, replayPort: portOf(replay) } }
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString())
  } catch {
    return undefined
  }
}

/**
 * The port of an address. Its host is a wildcard, or an address as the engine knows itself; the gateway reaches it by the host of
 * the endpoint.
 */
function portOf(address: unknown): number | undefined {
  const found = typeof address === 'string' ? /^tcp:\/\/.+:(\d{1,5})$/.exec(address) : null
  const port = Number(found?.[1])
  return port > 0 && port < 65_536 ? port : undefined
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
