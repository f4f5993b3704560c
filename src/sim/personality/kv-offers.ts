import type { Clock, Timer } from '#core/clock.ts'
import type { Exchange, Route } from '#sim/api/exchange.ts'
import type { Ticket } from '#sim/live-ticket.ts'
import { adminRoute } from './routes.ts'

/** KV that a prefill engine holds for another one. */
interface Offer {
  readonly tickets: readonly Ticket[]
  readonly tokens: number
  readonly timer: Timer
  readonly onFetched: () => void
  readonly onExpired: () => void
}

/** Most offers at one time; further ones are not taken. */
const MAX_OFFERS = 10_000

/** Path at which decoding servers ask for held KV. Real engines have a side channel of their own for this. */
export const KV_TRANSFER_PATH = '/sim/kv-transfers'

/** The KV a prefill server holds, by a key that both sides know. What nobody fetches in time is given up. */
export class KvOffers {
  readonly #clock: Clock
  readonly #byKey = new Map<string, Offer>()
  readonly #waiting = new Map<string, (() => void)[]>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * Holds the blocks of tickets under a key; `onFetched` or `onExpired` is called when that ends. False when there are too many. What
   * was held under the same key expires.
   */
  add(
    key: string,
    tickets: readonly Ticket[],
    hold: { readonly forMs: number; onFetched(): void; onExpired(): void },
  ): boolean {
    const before = this.#byKey.get(key)
    this.#end(key)
    before?.onExpired()
    if (this.#byKey.size >= MAX_OFFERS) return false
    const timer = this.#clock.after(hold.forMs, () => {
      this.#end(key)
      hold.onExpired()
    })
    const tokens = tickets.reduce((sum, { work }) => sum + work.promptTokens.length, 0)
    this.#byKey.set(key, {
      tickets,
      tokens,
      timer,
      onFetched: () => hold.onFetched(),
      onExpired: () => hold.onExpired(),
    })
    for (const listener of this.#waiting.get(key) ?? []) listener()
    this.#waiting.delete(key)
    return true
  }

  /** Tokens held under a key; undefined when there are none. */
  tokensOf(key: string): number | undefined {
    return this.#byKey.get(key)?.tokens
  }

  /** Calls `listener` once when something comes to be held under a key. Returns what takes the listener back. */
  waitFor(key: string, listener: () => void): () => void {
    const listeners = this.#waiting.get(key) ?? []
    listeners.push(listener)
    this.#waiting.set(key, listeners)
    return () => {
      const left = (this.#waiting.get(key) ?? []).filter((each) => each !== listener)
      if (left.length > 0) this.#waiting.set(key, left)
      else this.#waiting.delete(key)
    }
  }

  /** The KV has been fetched: frees its blocks. False when it is not held. */
  release(key: string): boolean {
    const offer = this.#byKey.get(key)
    if (offer === undefined) return false
    this.#end(key)
    offer.onFetched()
    return true
  }

  /** Nobody needs it any more: frees its blocks and calls nobody. */
  drop(key: string): void {
    this.#end(key)
  }

  /** Gives up everything that is held. */
  close(): void {
    for (const key of this.#byKey.keys()) this.#end(key)
  }

  #end(key: string): void {
    const offer = this.#byKey.get(key)
    offer?.timer.cancel()
    for (const ticket of offer?.tickets ?? []) ticket.releaseHeld()
    this.#byKey.delete(key)
  }
}

/**
 * The path of {@link KV_TRANSFER_PATH}: `?key=K` answers with the tokens held, `&wait=MS` waits until they are, `&done=1` frees them;
 * 404 when nothing is held.
 */
export function kvOfferRoute(offers: KvOffers): Route {
  return adminRoute('GET', KV_TRANSFER_PATH, (exchange) => {
    const query = new URLSearchParams(exchange.call.target.slice(exchange.call.target.indexOf('?') + 1))
    const key = query.get('key') ?? ''
    if (query.get('done') === '1') return answer(exchange, offers.release(key) ? 0 : undefined)
    const tokens = offers.tokensOf(key)
    const waitMs = Number(query.get('wait') ?? 0)
    if (tokens !== undefined || !(waitMs > 0)) return answer(exchange, tokens)
    wait(exchange, offers, { key, waitMs })
  })
}

function wait(
  exchange: Exchange,
  offers: KvOffers,
  { key, waitMs }: { readonly key: string; readonly waitMs: number },
): void {
  const stop = offers.waitFor(key, () => {
    timer.cancel()
    answer(exchange, offers.tokensOf(key))
  })
  const timer = exchange.core.clock.after(waitMs, () => {
    stop()
    answer(exchange, undefined)
  })
  exchange.reply.onLeave(() => {
    stop()
    timer.cancel()
  })
}

function answer({ reply }: Exchange, tokens: number | undefined): void {
  if (tokens === undefined) reply.json(404, { error: 'no KV is held under this key' })
  else reply.json(200, { tokens })
}

/** Where KV is held. */
export interface KvPlace {
  readonly host: string
  readonly port: number
  readonly key: string
}

/** Asks a prefill server how many tokens it holds; undefined when it holds none, or does not answer. */
export async function askForKv(place: KvPlace, waitMs = 0): Promise<number | undefined> {
  try {
    const response = await fetch(urlOf(place, waitMs > 0 ? `&wait=${waitMs}` : ''))
    const value: unknown = await response.json()
    if (!response.ok || typeof value !== 'object' || value === null || !('tokens' in value)) return undefined
    return Number.isSafeInteger(value.tokens) ? Number(value.tokens) : undefined
  } catch {
    return undefined
  }
}

/** Tells a prefill server that its KV has come. One that is gone has freed it. */
export function freeKv(place: KvPlace): void {
  fetch(urlOf(place, '&done=1')).then(
    (response) => response.body?.cancel(),
    () => {},
  )
}

function urlOf({ host, port, key }: KvPlace, more: string): string {
  const name = host.includes(':') ? `[${host}]` : host
  return `http://${name}:${port}${KV_TRANSFER_PATH}?key=${encodeURIComponent(key)}${more}`
}
