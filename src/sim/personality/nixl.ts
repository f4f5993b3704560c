import {
  type Exchange,
  fieldsOf,
  numberOf,
  type Protocol,
  type Route,
  type SimCore,
  stringOf,
} from '#sim/api/exchange.ts'
import { type Generation, type Job, runGeneration, type Shape } from '#sim/api/generation.ts'
import type { RunGeneration } from '#sim/api/openai.ts'
import type { Ticket } from '#sim/live-ticket.ts'
import { askForKv, freeKv, KvOffers, type KvPlace, kvOfferRoute } from './kv-offers.ts'

type Fields = Readonly<Record<string, unknown>>

/**
 * vLLM's NIXL connector (vllm/distributed/kv_transfer/kv_connector/v1/nixl, 0.32), in the pull mode. It is on in servers with a
 * role; the field `kv_transfer_params` of a request decides what is done.
 *
 * * `do_remote_decode`: the blocks are held after the answer, whose `kv_transfer_params` say where (`remote_*`). They are freed when
 *   they have been fetched, or after the lease.
 * * `do_remote_prefill` with those fields: the prompt's KV is fetched before the answer begins. What is no longer held makes the
 *   request fail (`kv_load_failure_policy: fail`, the default).
 *
 * `remote_host` and `remote_port` are the server's own address, where the real connector has a side channel. Block ids count from
 * 0: nobody reads them, `remote_request_id` names what is fetched.
 */
export class NixlConnector {
  readonly run: RunGeneration
  readonly #core: SimCore
  readonly #engineId: string
  readonly #offers: KvOffers
  /** Where the KV of requests that wait for it is held. */
  readonly #fetching = new Map<string, KvPlace>()

  constructor(core: SimCore) {
    this.#core = core
    this.#offers = new KvOffers(core.clock)
    const id = core.newId() + core.newId()
    this.#engineId = [id.slice(0, 8), id.slice(8, 12), id.slice(12, 16), id.slice(16, 20), id.slice(20)].join('-')
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
    const params = fieldsOf(generation.body['kv_transfer_params'])
    const { role } = this.#core.settings
    if (role === 'both') return runGeneration(exchange, protocol, generation, shape)
    if (params['do_remote_decode'] === true) return this.#prefill(parts, generation)
    const place = params['do_remote_prefill'] === true ? placeOf(params) : undefined
    if (place !== undefined) return void this.#decode(parts, generation, place)
    runGeneration(exchange, protocol, { ...generation, onMade: freeAtOnce }, shape)
  }

  #prefill({ exchange, protocol, shape }: Parts, generation: Generation): void {
    const onMade = (job: Job, answer: () => void) => {
      job.kvTransfer = this.#hold(job)
      answer()
    }
    runGeneration(exchange, protocol, { ...generation, transfer: { holdsBlocks: true }, onMade }, shape)
  }

  /** Holds the blocks of an answer; returns what the decoding engine has to be told, or null when nothing can be held. */
  #hold(job: Job): unknown {
    const { settings } = this.#core
    const tickets = job.choices.map(({ ticket }) => ticket)
    const { holdMs, blockSize } = settings.live.model
    const isHeld = this.#offers.add(job.id, tickets, {
      forMs: holdMs / settings.timeFactor,
      onFetched: () => {},
      onExpired: () => {},
    })
    if (!isHeld) return null
    // The KV of the last token is computed by who goes on.
    const tokens = job.promptTokens
    const blocks = Array.from({ length: Math.ceil(tokens / blockSize) }, (_, id) => id)
    return {
      do_remote_prefill: true,
      do_remote_decode: false,
      remote_block_ids: [blocks],
      remote_engine_id: this.#engineId,
      remote_request_id: job.id,
      remote_host: settings.host,
      remote_port: this.#core.port(),
      tp_size: 1,
      dcp_size: 1,
      pp_size: 1,
      remote_num_tokens: tokens,
      remote_blocks_expiry_time: null,
      transfer_mode: 'pull',
    }
  }

  async #decode(parts: Parts, generation: Generation, place: KvPlace): Promise<void> {
    const { exchange, protocol, shape } = parts
    const tokens = await askForKv(place)
    if (exchange.reply.isClosed) return
    if (tokens === undefined) return fail(parts, generation)
    const remoteKey = this.#core.newId()
    this.#fetching.set(remoteKey, place)
    exchange.reply.onLeave(() => this.#fetching.delete(remoteKey))
    const transfer = { remoteTokens: tokens, remoteKey }
    runGeneration(exchange, protocol, { ...generation, transfer, onMade: freeAtOnce }, shape)
  }
}

/** What a generation is answered with. */
interface Parts {
  readonly exchange: Exchange
  readonly protocol: Protocol
  readonly shape: Shape
}

function placeOf(params: Fields): KvPlace | undefined {
  const host = stringOf(params['remote_host'])
  const port = numberOf(params['remote_port'])
  const key = stringOf(params['remote_request_id'])
  return host === undefined || port === undefined || key === undefined ? undefined : { host, port, key }
}

/** A prefill engine of the model holds every answer; without a transfer there is nobody to hold it for. */
function freeAtOnce(job: Job, answer: () => void): void {
  for (const { ticket } of job.choices) ticket.releaseHeld()
  answer()
}

/** The KV could not be loaded: a stream has begun by then. */
function fail({ exchange, protocol, shape }: Parts, { isStream }: Generation): void {
  const problem = { status: 500, type: 'InternalServerError', message: 'Internal server error', param: null }
  if (!isStream) return protocol.refuse(exchange, problem)
  const { reply } = exchange
  const error = { message: problem.message, type: problem.type, param: null, code: problem.status }
  reply.stream({ 'content-type': shape.streamType })
  reply.end(`data: ${JSON.stringify({ error })}\n\ndata: [DONE]\n\n`)
}
