import type * as Zeromq from 'zeromq'
import type { Dealer, Subscriber } from 'zeromq'
import { Fault } from '#core/fault.ts'
import type { EventListener, EventSockets, EventSource, OpenEventSockets } from './event-sockets.ts'

const empty = Buffer.alloc(0)
const endOfReplay = Buffer.alloc(8, 0xff)

/** Largest frame that is taken: the events of one step, also of very long prompts in pages of one token. */
const maxFrameBytes = 64 * 1024 * 1024

/** Messages of one source that wait for us; what does not fit is lost, and fetched again as any gap. */
const maxWaiting = 10_000

const reconnectMs = 200
const maxReconnectMs = 5_000
const heartbeatMs = 5_000

/**
 * Loads the ZeroMQ library, which is native code and an optional dependency: only where events are followed. Rejects with
 * a Fault that says how to get it.
 */
export async function loadEventSockets(): Promise<OpenEventSockets> {
  let zeromq: typeof Zeromq
  try {
    zeromq = await import('zeromq')
  } catch (cause) {
    const hint = 'npm ci --include=optional'
    throw new Fault('self', `'kvEvents' needs the package zeromq, which is not installed (${hint})`, { cause })
  }
  return (source, listener) => new SourceSockets(zeromq, source, listener)
}

/** A SUB socket for what is published, and a DEALER socket for each replay (model-servers.md 2.1). */
class SourceSockets implements EventSockets {
  readonly #zeromq: typeof Zeromq
  readonly #source: EventSource
  readonly #listener: EventListener
  readonly #subscriber: Subscriber
  #dealer: Dealer | undefined = undefined
  #isClosed = false

  constructor(zeromq: typeof Zeromq, source: EventSource, listener: EventListener) {
    this.#zeromq = zeromq
    this.#source = source
    this.#listener = listener
    this.#subscriber = new zeromq.Subscriber({
      ...this.#common,
      receiveHighWaterMark: maxWaiting,
      heartbeatInterval: heartbeatMs,
      heartbeatTimeout: 2 * heartbeatMs,
    })
    this.#subscriber.events.on('handshake', () => this.#tell(() => listener.connected()))
    this.#subscriber.events.on('disconnect', () => this.#tell(() => listener.disconnected()))
    // The topic says nothing that the address does not.
    this.#subscriber.subscribe()
    this.#subscriber.connect(source.address)
    void this.#receive()
  }

  replay(from: number): void {
    this.endReplay()
    const { replayAddress } = this.#source
    if (replayAddress === undefined) return
    const dealer = new this.#zeromq.Dealer({ ...this.#common, receiveHighWaterMark: 0 })
    this.#dealer = dealer
    dealer.connect(replayAddress)
    void this.#receiveReplay(dealer, from)
  }

  endReplay(): void {
    this.#dealer?.close()
    this.#dealer = undefined
  }

  close(): void {
    this.#isClosed = true
    this.endReplay()
    this.#subscriber.close()
  }

  get #common() {
    return {
      linger: 0,
      ipv6: this.#source.address.includes('['),
      maxMessageSize: maxFrameBytes,
      reconnectInterval: reconnectMs,
      reconnectMaxInterval: maxReconnectMs,
    }
  }

  async #receive(): Promise<void> {
    try {
      for await (const frames of this.#subscriber) {
        const [, sequence, payload] = frames
        if (sequence?.length !== 8 || payload === undefined) continue
        this.#tell(() => this.#listener.live(numberOf(sequence), payload))
      }
    } catch {
      // Closed by us: there is no other end.
    }
  }

  async #receiveReplay(dealer: Dealer, from: number): Promise<void> {
    const start = Buffer.alloc(8)
    start.writeBigUInt64BE(BigInt(from))
    try {
      await dealer.send([empty, start])
      for await (const frames of dealer) {
        if (this.#dealer !== dealer) return
        // Engines before vLLM 0.26, and SGLang, leave out the topic.
        const [sequence, payload] = frames.slice(-2)
        if (frames.length < 3 || sequence?.length !== 8 || payload === undefined) continue
        if (sequence.equals(endOfReplay)) {
          this.endReplay()
          return this.#tell(() => this.#listener.replayEnded())
        }
        this.#tell(() => this.#listener.replayed(numberOf(sequence), payload))
      }
    } catch (caught) {
      if (this.#dealer !== dealer) return
      this.endReplay()
      this.#tell(() => this.#listener.replayFailed(caught instanceof Error ? caught.message : String(caught)))
    }
  }

  #tell(what: () => void): void {
    if (!this.#isClosed) what()
  }
}

function numberOf(sequence: Buffer): number {
  return Number(sequence.readBigUInt64BE())
}
