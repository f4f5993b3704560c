import type { Arrival } from '#lab/virtual-fleet.ts'

interface Entry {
  readonly endpoint: number
  readonly promptTokens: number
  /** Uncached prompt tokens as they were expected at dispatch; 0 after the first token. */
  queuedTokens: number
}

/** What a gateway can count of its own requests without asking anybody, per endpoint and without delay. */
export class TokenAccount {
  readonly requests: Float64Array
  /** Uncached prompt tokens sent whose first token has not come. */
  readonly queuedTokens: Float64Array
  /** Prompt tokens of requests in flight. */
  readonly contextTokens: Float64Array
  readonly #entries = new Map<Arrival, Entry>()

  constructor(size: number) {
    this.requests = new Float64Array(size)
    this.queuedTokens = new Float64Array(size)
    this.contextTokens = new Float64Array(size)
  }

  /** Requests in flight. */
  get open(): number {
    return this.#entries.size
  }

  add(arrival: Arrival, endpoint: number, uncachedTokens: number): void {
    const { promptTokens } = arrival.request
    this.#entries.set(arrival, { endpoint, promptTokens, queuedTokens: uncachedTokens })
    this.#change(endpoint, 1, promptTokens)
    this.queuedTokens[endpoint] = (this.queuedTokens[endpoint] ?? 0) + uncachedTokens
  }

  firstToken(arrival: Arrival): void {
    const entry = this.#entries.get(arrival)
    if (entry === undefined) return
    this.queuedTokens[entry.endpoint] = (this.queuedTokens[entry.endpoint] ?? 0) - entry.queuedTokens
    entry.queuedTokens = 0
  }

  remove(arrival: Arrival): void {
    const entry = this.#entries.get(arrival)
    if (entry === undefined) return
    this.firstToken(arrival)
    this.#entries.delete(arrival)
    this.#change(entry.endpoint, -1, -entry.promptTokens)
  }

  #change(endpoint: number, requests: number, tokens: number): void {
    this.requests[endpoint] = (this.requests[endpoint] ?? 0) + requests
    this.contextTokens[endpoint] = (this.contextTokens[endpoint] ?? 0) + tokens
  }
}
