import assert from 'node:assert/strict'
import { type Rng, seededRng } from '#core/clock.ts'
import type { Sim } from '#sim/server.ts'
import type { RunningGateway } from './gateway.ts'
import { MetricsPage } from './metrics.ts'

/** One message of a chat. */
interface Message {
  readonly role: 'system' | 'user' | 'assistant'
  readonly content: string
}

/** Where a request went, and what its engine had cached of it. */
export interface Served {
  readonly endpoint: string
  readonly cached: number
  readonly prompt: number
}

/** What a stretch of traffic came to; shares of all prompt tokens. */
export interface HitShares {
  /** What the gateway foretold of the endpoints that it chose. */
  readonly foretold: number
  /** What the engines count on their metrics pages. */
  readonly counted: number
  /** Requests that the engines have seen. */
  readonly tokens: number
}

/** Requests with beginnings in common, to a gateway in front of simulated engines; the same seed sends the same ones. */
export class CacheTraffic {
  readonly #gateway: RunningGateway
  readonly #sims: () => readonly Sim[]
  readonly #rng: Rng
  /** Of engines that were ended. */
  #ended = { hits: 0, queries: 0 }

  constructor(gateway: RunningGateway, sims: () => readonly Sim[], seed = 1) {
    this.#gateway = gateway
    this.#sims = sims
    this.#rng = seededRng(seed)
  }

  /** Words that have not been sent before. */
  words(count: number): string {
    return Array.from({ length: count }, () =>
      Math.floor(this.#rng() * 1e9)
        .toString(36)
        .padStart(6, '0'),
    ).join(' ')
  }

  /** One of a list. */
  oneOf(texts: readonly string[]): string {
    return texts[Math.floor(this.#rng() * texts.length)] ?? ''
  }

  /** Sends a chat and waits for all of the answer. */
  async chat(messages: readonly Message[], more: Readonly<Record<string, unknown>> = {}): Promise<Served> {
    const { text: _text, ...served } = await this.#send(messages, more)
    return served
  }

  /** A conversation of several turns, each with all that was said before. */
  async conversation(system: string, turns: number, more: Readonly<Record<string, unknown>> = {}): Promise<Served[]> {
    const messages: Message[] = [{ role: 'system', content: system }]
    const served: Served[] = []
    for (let turn = 0; turn < turns; turn++) {
      messages.push({ role: 'user', content: this.words(20) })
      const { text, ...where } = await this.#send(messages, more)
      messages.push({ role: 'assistant', content: text })
      served.push(where)
    }
    return served
  }

  /** To be called before an engine is ended: what it has counted would be lost. */
  async ends(sim: Sim): Promise<void> {
    const { hits, queries } = await countsOf(sim)
    this.#ended = { hits: this.#ended.hits + hits, queries: this.#ended.queries + queries }
  }

  /** What `send` came to. */
  async sharesOf(send: () => Promise<unknown>): Promise<HitShares> {
    const before = await this.#read()
    await send()
    const after = await this.#read()
    const tokens = after.queries - before.queries
    return {
      foretold: (after.foretold - before.foretold) / tokens,
      counted: (after.hits - before.hits) / tokens,
      tokens,
    }
  }

  async #send(
    messages: readonly Message[],
    more: Readonly<Record<string, unknown>>,
  ): Promise<Served & { readonly text: string }> {
    const response = await fetch(`${this.#gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'tiny', max_tokens: 8, messages, ...more }),
    })
    const body = await response.text()
    assert.equal(response.status, 200, body)
    const { choices, usage } = JSON.parse(body) as {
      choices: { message: { content: string } }[]
      usage: { prompt_tokens: number; prompt_tokens_details?: { cached_tokens?: number } | null }
    }
    return {
      endpoint: response.headers.get('x-infer-endpoint') ?? '',
      cached: usage.prompt_tokens_details?.cached_tokens ?? 0,
      prompt: usage.prompt_tokens,
      text: choices[0]?.message.content ?? '',
    }
  }

  async #read(): Promise<{ foretold: number; hits: number; queries: number }> {
    const engines = await Promise.all(this.#sims().map(countsOf))
    const metrics = await this.#gateway.metrics()
    return {
      foretold: metrics.sum('infer_gateway_prefix_realized_tokens_total'),
      hits: engines.reduce((sum, { hits }) => sum + hits, this.#ended.hits),
      queries: engines.reduce((sum, { queries }) => sum + queries, this.#ended.queries),
    }
  }
}

async function countsOf(sim: Sim): Promise<{ hits: number; queries: number }> {
  const page = new MetricsPage(await (await fetch(`${sim.url}/metrics`)).text())
  const names = ['vllm:prefix_cache_hits_total', 'vllm:prefix_cache_queries_total'] as const
  return { hits: page.sum(names[0]), queries: page.sum(names[1]) }
}
