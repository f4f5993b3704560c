import type * as Zeromq from 'zeromq'
import type { Publisher, Router } from 'zeromq'
import { Fault } from '#core/fault.ts'
import { hasTopicInReplay } from './encoding.ts'
import { type KvEventSettings, rankEndpoint } from './options.ts'
import { ReplayBuffer } from './replay-buffer.ts'

const empty = Buffer.alloc(0)

/** Instead of a sequence number, after the last batch of a replay. */
const endOfReplay = Buffer.alloc(8, 0xff)

/** Longest sequence number that is taken in a request for a replay; engines take any. */
const MAX_START_BYTES = 64

/** Longest frame that is taken at all (a subscription, a request for a replay): who sends more is disconnected. */
const MAX_FRAME_BYTES = 4096

/** The ZeroMQ library: native code, so it is loaded only where events are published. */
async function loadZeromq(): Promise<typeof Zeromq> {
  try {
    return await import('zeromq')
  } catch (cause) {
    throw new Fault('self', 'KV events need the package zeromq, which is not installed (npm ci --include=optional)', {
      cause,
    })
  }
}

/**
 * The two sockets of one rank: one that publishes batches to whoever listens, one that answers requests for past batches. The
 * frames are those of vLLM's `ZmqEventPublisher`: topic, sequence number from 0 as eight bytes (the highest first), payload.
 */
export class RankSockets {
  readonly #publisher: Publisher
  readonly #router: Router | undefined
  readonly #kept: ReplayBuffer
  readonly #lost: ReadonlySet<number>
  readonly #hasReplayTopic: boolean
  /** Messages that the library has not taken; further ones are lost, as those that a subscriber has no room for. */
  readonly #maxUnsent: number
  #topic = empty
  #sequence = 0
  #outbox: Buffer[][] = []
  #unsent = 0
  #isSending = false

  private constructor(settings: KvEventSettings, publisher: Publisher, router: Router | undefined) {
    this.#publisher = publisher
    this.#router = router
    this.#kept = new ReplayBuffer(settings.bufferSteps, settings.bufferBytes)
    this.#lost = new Set(settings.lose)
    this.#hasReplayTopic = hasTopicInReplay(settings.encoding)
    this.#maxUnsent = settings.hwm
  }

  /** Binds both sockets. Throws a Fault without the library, and the library's error when an address cannot be had. */
  static async bind(settings: KvEventSettings, rank: number): Promise<RankSockets> {
    const zeromq = await loadZeromq()
    const isIpv6 = settings.endpoint.includes('[')
    const common = { linger: 0, ipv6: isIpv6, maxMessageSize: MAX_FRAME_BYTES }
    const publisher = new zeromq.Publisher({ ...common, sendHighWaterMark: settings.hwm })
    let router: Router | undefined
    try {
      await publisher.bind(rankEndpoint(settings.endpoint, rank))
      if (settings.replayEndpoint !== undefined) {
        // A router drops what a peer has no room for: room for one whole replay and its end.
        router = new zeromq.Router({ ...common, sendHighWaterMark: settings.bufferSteps + 1 })
        await router.bind(rankEndpoint(settings.replayEndpoint, rank))
      }
    } catch (error) {
      publisher.close()
      router?.close()
      throw error
    }
    const sockets = new RankSockets(settings, publisher, router)
    if (router !== undefined) sockets.#answerReplays(router).catch(() => {})
    return sockets
  }

  /** Where it publishes, with the port that the system chose; likewise replays. */
  get endpoint(): string {
    return this.#publisher.lastEndpoint ?? ''
  }

  get replayEndpoint(): string | null {
    return this.#router?.lastEndpoint ?? null
  }

  /** Sequence number of the next batch, which is how many there were. */
  get nextSequence(): number {
    return this.#sequence
  }

  /** Batches kept for replays. */
  get keptSteps(): number {
    return this.#kept.steps
  }

  setTopic(topic: string): void {
    this.#topic = Buffer.from(topic)
  }

  /** Sends a batch to those who listen now. Nobody is waited for: who is too slow loses it. */
  publish(payload: Buffer): void {
    const sequence = this.#sequence++
    this.#kept.add({ sequence, payload })
    if (this.#lost.has(sequence) || this.#unsent >= this.#maxUnsent) return
    this.#unsent++
    this.#outbox.push([this.#topic, sequenceBytes(sequence), payload])
    if (!this.#isSending) void this.#sendAll()
  }

  close(): void {
    this.#publisher.close()
    this.#router?.close()
  }

  /** The library takes one message at a time, and after some that went at once it wants a turn of the event loop. */
  async #sendAll(): Promise<void> {
    this.#isSending = true
    try {
      while (this.#outbox.length > 0) {
        const messages = this.#outbox
        this.#outbox = []
        for (const frames of messages) {
          await this.#publisher.send(frames)
          this.#unsent--
        }
      }
      this.#isSending = false
    } catch {
      // Closed: it stays as if sending, and what is left is lost.
      this.#outbox = []
    }
  }

  async #answerReplays(router: Router): Promise<void> {
    for await (const [peer, , start, ...more] of router) {
      if (peer === undefined || start === undefined || more.length > 0 || start.length > MAX_START_BYTES) continue
      await this.#replay(router, peer, start)
    }
  }

  async #replay(router: Router, peer: Buffer, start: Buffer): Promise<void> {
    const frames = (topic: Buffer, sequence: Buffer, payload: Buffer): Buffer[] =>
      this.#hasReplayTopic ? [peer, empty, topic, sequence, payload] : [peer, empty, sequence, payload]
    const first = BigInt(`0x0${start.toString('hex')}`)
    try {
      for (const { sequence, payload } of this.#kept.from(first))
        await router.send(frames(this.#topic, sequenceBytes(sequence), payload))
      await router.send(frames(empty, endOfReplay, empty))
    } catch {
      // The peer is gone, or this socket is closed: there is nobody to tell.
    }
  }
}

function sequenceBytes(sequence: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(sequence))
  return bytes
}
