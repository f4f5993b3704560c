import type { Snapshot } from '#config/snapshot.ts'
import type { Clock } from '#core/clock.ts'
import { maxEndpoints } from '#datastore/endpoint-table.ts'
import type { ProcessLog } from '#observe/process-log.ts'
import type { EndpointReport, KvEventReport } from '#observe/status-report.ts'
import { createHttpGet } from '#scraper/http-get.ts'
import { type EventStatus, KvEventLoop } from '#scraper/kv-events/event-loop.ts'
import { PromptTokens, type PromptTokensCounts } from '#scraper/kv-events/prompt-tokens.ts'
import { loadEventSockets } from '#scraper/kv-events/zeromq-sockets.ts'
import { PrefixIndex, prefixIndexMemory } from '#struct/prefix-index.ts'
import { chainUnitTokens } from '#struct/token-chain.ts'
import { type ExactMemory, PromptExchange } from './prompt-exchange.ts'

/** Keys that the index of KV events has room for: 16 million tokens in 50 MB, of which only what is used is resident. */
const exactBlocks = 1_000_000

/** The longest prompt that is looked up to its end: 262,144 tokens. */
const exactChainBlocks = 16_384

/** What engines tell of their KV caches: followed by the main thread, read by the data threads. */
export class KvEventFollow {
  readonly exact: ExactMemory
  readonly exchange: PromptExchange
  readonly #loop: KvEventLoop
  readonly #tokens: PromptTokens
  #snapshot: Snapshot | undefined = undefined

  constructor(clock: Clock, log: ProcessLog) {
    const memory = prefixIndexMemory({
      blocks: exactBlocks,
      blockTokens: chainUnitTokens,
      maxChainBlocks: exactChainBlocks,
    })
    const units = new SharedArrayBuffer(4 * maxEndpoints)
    this.exact = { memory, units }
    this.exchange = new PromptExchange((question) => this.#tokens.ask(question))
    this.#tokens = new PromptTokens({
      clock,
      endpointOf: (slot) => this.#endpointOf(slot),
      onLearned: (prompt) => this.exchange.learned(prompt),
    })
    this.#loop = new KvEventLoop({
      clock,
      index: new PrefixIndex(memory),
      units: new Int32Array(units),
      load: loadEventSockets,
      createGetClient: createHttpGet(),
      onState: ({ id }, state, reason) => log.info({ endpoint: id, kvEvents: state, reason }, 'KV events changed'),
      onFault: (message) => log.error({}, message),
    })
  }

  apply(snapshot: Snapshot): void {
    this.#snapshot = snapshot
    this.#loop.apply(snapshot)
  }

  /** Adds how the events of the endpoints stand to a report of the snapshot in force. */
  annotate(reports: readonly EndpointReport[]): EndpointReport[] {
    const bySlot = new Map<number, EventStatus>(this.#loop.status().map((status) => [status.slot, status]))
    const byName = new Map<string, EventStatus>()
    for (const { key, endpoints } of bySlot.size === 0 ? [] : (this.#snapshot?.modelServers ?? [])) {
      for (const { id, slot } of endpoints) {
        const status = bySlot.get(slot)
        if (status !== undefined) byName.set(`${key} ${id}`, status)
      }
    }
    return reports.map((report) => {
      const status = byName.get(`${report.modelServer} ${report.endpoint}`)
      return status === undefined ? report : { ...report, kvEvents: eventReport(status) }
    })
  }

  get prompts(): Readonly<PromptTokensCounts> {
    return this.#tokens.counts
  }

  close(): void {
    this.#loop.close()
    this.#tokens.close()
    this.exchange.close()
  }

  #endpointOf(slot: number): ReturnType<ConstructorParameters<typeof PromptTokens>[0]['endpointOf']> {
    for (const modelServer of this.#snapshot?.modelServers ?? []) {
      const endpoint = modelServer.endpoints.find((each) => each.slot === slot)
      if (endpoint !== undefined) return { endpoint, modelServer }
    }
    return undefined
  }
}

function eventReport({ slot: _slot, last: _last, unplaced: _unplaced, ...report }: EventStatus): KvEventReport {
  return report
}
