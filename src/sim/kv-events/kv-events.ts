import type { KvEventSink, StoredBlocks } from '#sim/kv-event-sink.ts'
import { type AdapterPath, blockNamer } from './block-namer.ts'
import { BatchEncoder } from './encoding.ts'
import type { KvEventSettings } from './options.ts'
import { RankEvents } from './rank-events.ts'
import { RankSockets } from './rank-sockets.ts'

/** Where the events of one rank can be had. */
export interface KvEventSource {
  readonly rank: number
  readonly endpoint: string
  readonly replayEndpoint: string | null
  readonly topic: string
  readonly bufferSteps: number
  readonly hwm: number
  /** Sequence number of the next batch. */
  readonly nextSequence: number
  readonly keptSteps: number
}

interface Rank {
  readonly events: RankEvents
  readonly sockets: RankSockets
}

/** Publishes what happens to the KV blocks of a simulated engine over ZeroMQ, as vLLM and SGLang do. */
export class KvEvents implements KvEventSink {
  readonly #settings: KvEventSettings
  readonly #ranks: readonly Rank[]
  readonly #encoder: BatchEncoder
  #topic: string

  private constructor(settings: KvEventSettings, ranks: readonly Rank[]) {
    this.#settings = settings
    this.#ranks = ranks
    this.#encoder = new BatchEncoder(settings.encoding)
    this.#topic = ''
    this.#setTopic(settings.topic ?? '')
  }

  /**
   * Binds the sockets of all ranks. Rejects with a Fault where ZeroMQ is not installed, and with the library's error when an
   * address cannot be had; then nothing stays open.
   */
  static async open(settings: KvEventSettings, ranks: number, adapterPath: AdapterPath): Promise<KvEvents> {
    const opened: Rank[] = []
    try {
      for (let rank = 0; rank < ranks; rank++) {
        const namer = blockNamer(settings, adapterPath)
        const sockets = await RankSockets.bind(settings, rank)
        opened.push({ events: new RankEvents(rank, settings.encoding, namer), sockets })
      }
    } catch (error) {
      for (const { sockets } of opened) sockets.close()
      throw error
    }
    return new KvEvents(settings, opened)
  }

  /** Says where the server listens and what it serves, which is the topic unless the options have one. */
  announce(address: string, model: string): void {
    this.#setTopic(this.#settings.topic ?? `kv@${address}@${model}`)
  }

  sources(): readonly KvEventSource[] {
    const { bufferSteps, hwm } = this.#settings
    return this.#ranks.map(({ sockets }, rank) => ({
      rank,
      endpoint: sockets.endpoint,
      replayEndpoint: sockets.replayEndpoint,
      topic: this.#topic,
      bufferSteps,
      hwm,
      nextSequence: sockets.nextSequence,
      keptSteps: sockets.keptSteps,
    }))
  }

  stored(blocks: StoredBlocks): void {
    this.#ranks[blocks.rank]?.events.stored(blocks)
  }

  removed(rank: number, hash: number): void {
    this.#ranks[rank]?.events.removed(hash)
  }

  cleared(rank: number): void {
    this.#ranks[rank]?.events.cleared()
  }

  stepEnd(rank: number, atEpochMs: number): void {
    const { events, sockets } = this.#ranks[rank] ?? {}
    const batch = events?.take(atEpochMs)
    if (batch !== undefined) sockets?.publish(this.#encoder.encode(batch))
  }

  /** Closes the sockets. What subscribers have not fetched by then is lost. */
  close(): void {
    for (const { sockets } of this.#ranks) sockets.close()
  }

  #setTopic(topic: string): void {
    this.#topic = topic
    for (const { sockets } of this.#ranks) sockets.setTopic(topic)
  }
}
