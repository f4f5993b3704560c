import type { EndpointPlan, Snapshot } from '#config/snapshot.ts'
import { Fault } from '#core/fault.ts'
import { type EndpointTable, forgetReports, maxEndpoints, resetSlot } from './endpoint-table.ts'

/** Gives the endpoints of snapshots their rows of the endpoint table. Main thread only. */
export interface SlotAllocator {
  /**
   * The snapshot with `slot` and `generation` of every endpoint filled in. An endpoint keeps its row as long as it
   * stays in the same model server under the same id and address, and gets it back if it returns before the row was
   * needed. Throws a Fault, with nothing changed, when the table is too small.
   */
  assign(snapshot: Snapshot): Snapshot
}

/** Hears that what is known of the prompts at a row's endpoint is no longer true: it is another one, or was gone. */
export type RowForgotten = (slot: number) => void

/** Creates the allocator of a table. */
export function createSlotAllocator(table: EndpointTable, onForgotten: RowForgotten = () => {}): SlotAllocator {
  const allocator = new Allocator(table, onForgotten)
  return { assign: (snapshot) => allocator.assign(snapshot) }
}

const separator = '\n'

function keyOf(modelServer: string, { id, host, port }: EndpointPlan): string {
  return [modelServer, id, host, port].join(separator)
}

class Allocator {
  readonly #table: EndpointTable
  readonly #onForgotten: RowForgotten
  #used = new Map<string, number>()
  /** Rows of endpoints that are gone, the one gone longest first. Their leases still count down in them. */
  readonly #freed = new Map<string, number>()
  /** Rows from here on were never used. */
  #nextFresh = 0

  constructor(table: EndpointTable, onForgotten: RowForgotten) {
    this.#table = table
    this.#onForgotten = onForgotten
  }

  assign(snapshot: Snapshot): Snapshot {
    const keys = new Set(snapshot.modelServers.flatMap((server) => server.endpoints.map((e) => keyOf(server.key, e))))
    if (keys.size > maxEndpoints) {
      throw new Fault('self', `The configuration has ${keys.size} endpoints; a gateway holds at most ${maxEndpoints}.`)
    }
    for (const [key, slot] of this.#used) if (!keys.has(key)) this.#freed.set(key, slot)
    const used = new Map<string, number>()
    for (const key of keys) used.set(key, this.#used.get(key) ?? this.#returned(key) ?? -1)
    // Only now is it known which rows no endpoint of this snapshot wants back.
    for (const [key, slot] of used) if (slot < 0) used.set(key, this.#unusedSlot())
    this.#used = used
    return { ...snapshot, modelServers: snapshot.modelServers.map((server) => this.#withSlots(server, used)) }
  }

  #withSlots(server: Snapshot['modelServers'][number], used: ReadonlyMap<string, number>): typeof server {
    const endpoints = server.endpoints.map((endpoint) => {
      const slot = used.get(keyOf(server.key, endpoint)) ?? -1
      return { ...endpoint, slot, generation: this.#table.generation[slot] ?? -1 }
    })
    return { ...server, endpoints }
  }

  #returned(key: string): number | undefined {
    const slot = this.#freed.get(key)
    if (slot === undefined) return undefined
    this.#freed.delete(key)
    forgetReports(this.#table, slot)
    this.#onForgotten(slot)
    return slot
  }

  /** A row never used, else the row free for longest on which no request is left, else the row free for longest. */
  #unusedSlot(): number {
    if (this.#nextFresh < maxEndpoints) return this.#nextFresh++
    let chosen: string | undefined
    for (const [key, slot] of this.#freed) {
      chosen ??= key
      if (Atomics.load(this.#table.inFlight, slot) > 0) continue
      chosen = key
      break
    }
    const slot = this.#freed.get(chosen ?? '')
    if (slot === undefined || chosen === undefined) throw new Fault('self', 'no row of the endpoint table is free')
    this.#freed.delete(chosen)
    resetSlot(this.#table, slot)
    this.#onForgotten(slot)
    return slot
  }
}
