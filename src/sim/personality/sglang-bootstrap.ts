import {
  type Exchange,
  numberOf,
  type Problem,
  type Protocol,
  type Route,
  type SimCore,
  stringOf,
} from '#sim/api/exchange.ts'
import { type Generation, type Job, runGeneration, type Shape } from '#sim/api/generation.ts'
import type { RunGeneration } from '#sim/api/openai.ts'
import type { Ticket } from '#sim/live-ticket.ts'
import { askForKv, freeKv, KvOffers, type KvPlace, kvOfferRoute } from './kv-offers.ts'

/** How long each side waits for the other; SGLang's `SGLANG_DISAGGREGATION_BOOTSTRAP_TIMEOUT` is as long. */
const BOOTSTRAP_TIMEOUT_MS = 120_000

/**
 * SGLang's disaggregation (model-servers.md 1.2): both halves get the same request with `bootstrap_host`, `bootstrap_port` and
 * `bootstrap_room` at the same time. The prefill half answers when its KV has been fetched, the decode half when it has made its
 * tokens; either fails when the other does not come. It is on in servers with a role.
 *
 * `bootstrap_port` is the HTTP port of the simulated prefill server, where the real one has a port of its own (8998).
 */
export class SglangBootstrap {
  readonly run: RunGeneration
  readonly #core: SimCore
  readonly #offers: KvOffers
  readonly #fetching = new Map<string, KvPlace>()

  constructor(core: SimCore) {
    this.#core = core
    this.#offers = new KvOffers(core.clock)
    this.run = (exchange, protocol, generation, shape) => this.#run({ exchange, protocol, shape }, generation)
  }

  routes(): Route[] {
    return [kvOfferRoute(this.#offers)]
  }

  /** A request runs: what it had to fetch has come. */
  onAdmitted({ work }: Ticket): void {
    const place = work.remoteKey === undefined ? undefined : this.#fetching.get(work.remoteKey)
    if (work.remoteKey === undefined || place === undefined) return
    this.#fetching.delete(work.remoteKey)
    freeKv(place)
  }

  close(): void {
    this.#offers.close()
  }

  #run(parts: Parts, generation: Generation): void {
    const { exchange, protocol, shape } = parts
    const { role } = this.#core.settings
    if (role === 'both') return runGeneration(exchange, protocol, generation, shape)
    const place = placeOf(generation.body)
    if (place === undefined) return protocol.refuse(exchange, noRoom(role))
    if (role === 'prefill') this.#prefill(parts, generation, place)
    else void this.#decode(parts, generation, place)
  }

  #prefill({ exchange, protocol, shape }: Parts, generation: Generation, { key }: KvPlace): void {
    const onMade = (job: Job, answer: () => void) => {
      const tickets = job.choices.map(({ ticket }) => ticket)
      const fail = () => refuse({ exchange, protocol, shape }, generation, transferError('Prefill', key))
      const isHeld = this.#offers.add(key, tickets, {
        forMs: BOOTSTRAP_TIMEOUT_MS / this.#core.settings.timeFactor,
        onFetched: answer,
        onExpired: fail,
      })
      if (!isHeld) fail()
      exchange.reply.onLeave(() => this.#offers.drop(key))
    }
    runGeneration(exchange, protocol, { ...generation, transfer: { holdsBlocks: true }, onMade }, shape)
  }

  async #decode({ exchange, protocol, shape }: Parts, generation: Generation, place: KvPlace): Promise<void> {
    const waitMs = Math.ceil(BOOTSTRAP_TIMEOUT_MS / this.#core.settings.timeFactor)
    const tokens = await askForKv(place, waitMs)
    if (exchange.reply.isClosed) return
    if (tokens === undefined) return protocol.refuse(exchange, transferError('Decode', place.key))
    const remoteKey = this.#core.newId()
    this.#fetching.set(remoteKey, place)
    exchange.reply.onLeave(() => this.#fetching.delete(remoteKey))
    runGeneration(exchange, protocol, { ...generation, transfer: { remoteTokens: tokens, remoteKey } }, shape)
  }
}

/** What a generation is answered with. */
interface Parts {
  readonly exchange: Exchange
  readonly protocol: Protocol
  readonly shape: Shape
}

/** Refuses, also when the stream has begun. */
function refuse({ exchange, protocol }: Parts, { isStream }: Generation, problem: Problem): void {
  if (!isStream) return protocol.refuse(exchange, problem)
  const { status, type, message } = problem
  const error = { object: 'error', message, type, param: null, code: status }
  exchange.reply.end(`data: ${JSON.stringify({ error })}\n\ndata: [DONE]\n\n`)
}

function placeOf(body: Readonly<Record<string, unknown>>): KvPlace | undefined {
  const host = stringOf(body['bootstrap_host'])
  const port = numberOf(body['bootstrap_port']) ?? 8998
  const room = numberOf(body['bootstrap_room'])
  return host === undefined || room === undefined ? undefined : { host, port, key: String(room) }
}

function noRoom(role: string): Problem {
  const message = `Disaggregated request received without bootstrap room id (${role} server).`
  return { status: 400, type: 'BadRequestError', message, param: null }
}

function transferError(side: string, room: string): Problem {
  const message = `${side} transfer failed for request with bootstrap_room=${room}: KVTransferError`
  return { status: 500, type: 'InternalServerError', message, param: null }
}
