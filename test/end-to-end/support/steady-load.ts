import { postBytes, RawClient, type RawResponse } from './raw-client.ts'
import { splitEvents } from './sse.ts'

/** How a client of the steady load behaves. */
export type LoadKind = 'new connections' | 'keep-alive' | 'streams'

/** What the steady load has seen so far. */
export interface LoadCounts {
  requests: number
  /** One text for each request that was not answered as it should. */
  readonly failures: string[]
}

const messages = [{ role: 'user', content: 'hello' }]
const plain = postBytes('/v1/chat/completions', Buffer.from(JSON.stringify({ model: 'tiny', messages, max_tokens: 4 })))
const streamed = postBytes(
  '/v1/chat/completions',
  Buffer.from(JSON.stringify({ model: 'tiny', messages, max_tokens: 50, stream: true })),
)
const eventsOfStream = 52

/** Clients that send one request after the other, of all kinds, until they are stopped. */
export class SteadyLoad {
  readonly counts: Readonly<Record<LoadKind, LoadCounts>> = {
    'new connections': { requests: 0, failures: [] },
    'keep-alive': { requests: 0, failures: [] },
    streams: { requests: 0, failures: [] },
  }
  readonly #port: number
  readonly #clients: Promise<void>[]
  #stopping = false

  /** Starts `width` clients of each kind. */
  constructor(port: number, width: number) {
    this.#port = port
    const kinds = Object.keys(this.counts) as LoadKind[]
    this.#clients = kinds.flatMap((kind) => Array.from({ length: width }, () => this.#run(kind)))
  }

  /** All failures, each with its kind. */
  get failures(): readonly string[] {
    return Object.entries(this.counts).flatMap(([kind, { failures }]) => failures.map((text) => `${kind}: ${text}`))
  }

  get requests(): number {
    return Object.values(this.counts).reduce((sum, { requests }) => sum + requests, 0)
  }

  /** Lets the requests under way end. */
  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#clients)
  }

  async #run(kind: LoadKind): Promise<void> {
    const counts = this.counts[kind]
    let client: RawClient | undefined
    while (!this.#stopping) {
      counts.requests++
      try {
        // A connection that was closed between two requests is nobody's failure: clients look before they write.
        if (client === undefined || client.isEnded) client = await RawClient.connect(this.#port)
        client.write(kind === 'streams' ? streamed : plain)
        const response = await client.response()
        const problem = problemOf(kind, response)
        if (problem !== undefined) counts.failures.push(problem)
        if (kind === 'new connections' || isLast(response)) client = drop(client)
      } catch (error) {
        counts.failures.push(error instanceof Error ? error.message : String(error))
        client = drop(client)
      }
    }
    drop(client)
  }
}

function drop(client: RawClient | undefined): undefined {
  client?.close()
}

function isLast({ headers }: RawResponse): boolean {
  return headers.some(([name, value]) => name === 'connection' && value.toLowerCase() === 'close')
}

function problemOf(kind: LoadKind, { status, body }: RawResponse): string | undefined {
  const text = body.toString()
  if (status !== 200) return `${status} ${text}`
  if (kind !== 'streams') return undefined
  const { events } = splitEvents(text)
  return events.length === eventsOfStream && text.endsWith('data: [DONE]\n\n') ? undefined : `a stream of ${text}`
}
