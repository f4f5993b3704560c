import { freeProbesOf } from './breaker.ts'
import type { EndpointTable } from './endpoint-table.ts'

/**
 * What one thread holds of the endpoint table, row by row, in memory that outlives the thread: when it dies, the main
 * thread takes exactly that out of the table again (`releaseHeld`). Written by its thread alone, with plain stores.
 */
export interface HeldLeases {
  /** Hand it to the thread, which calls `attachHeldLeases`. */
  readonly buffer: SharedArrayBuffer
  /** Who holds: the index of the thread plus one, so that 0 is nobody. Also what stands in columns that name a holder. */
  readonly holder: number
  /** Generation of the row that the numbers below belong to. */
  readonly generation: Int32Array
  readonly inFlight: Int32Array
  readonly prefilling: Int32Array
  readonly uncachedTokens: Int32Array
  readonly contextTokens: Int32Array
}

/** What one request adds to an endpoint's row, but for the request itself. */
export interface HeldPrompt {
  /** Prompt tokens to compute before its first token. */
  readonly uncachedTokens: number
  /** All prompt tokens. */
  readonly contextTokens: number
}

/** Columns of the endpoint table that are sums over leases. */
const sums = ['inFlight', 'prefilling', 'uncachedTokens', 'contextTokens'] as const

const columns = 1 + sums.length

/** Memory for a thread that holds nothing yet, with as many rows as the endpoint table has. */
export function createHeldLeases(rows: number, holder: number): HeldLeases {
  return attachHeldLeases(new SharedArrayBuffer(rows * columns * 4), holder)
}

/** Views of existing memory, for the thread that writes it. */
export function attachHeldLeases(buffer: SharedArrayBuffer, holder: number): HeldLeases {
  const rows = buffer.byteLength / columns / 4
  const column = (index: number): Int32Array => new Int32Array(buffer, index * rows * 4, rows)
  return {
    buffer,
    holder,
    generation: column(0),
    inFlight: column(1),
    prefilling: column(2),
    uncachedTokens: column(3),
    contextTokens: column(4),
  }
}

/** Notes a lease. What was held of an earlier generation of the row is forgotten, as the table has forgotten it. */
export function hold(held: HeldLeases, slot: number, generation: number, prompt: HeldPrompt): void {
  if (held.generation[slot] !== generation) {
    held.generation[slot] = generation
    for (const name of sums) held[name][slot] = 0
  }
  held.inFlight[slot] = held.inFlight[slot]! + 1
  held.prefilling[slot] = held.prefilling[slot]! + 1
  held.uncachedTokens[slot] = held.uncachedTokens[slot]! + prompt.uncachedTokens
  held.contextTokens[slot] = held.contextTokens[slot]! + prompt.contextTokens
}

/** Notes that a prompt is no longer ahead of others. */
export function settleHeldPrompt(held: HeldLeases, slot: number, prompt: HeldPrompt): void {
  held.prefilling[slot] = held.prefilling[slot]! - 1
  held.uncachedTokens[slot] = held.uncachedTokens[slot]! - prompt.uncachedTokens
}

/** Notes that a lease has been released. */
export function letGo(held: HeldLeases, slot: number, prompt: HeldPrompt): void {
  held.inFlight[slot] = held.inFlight[slot]! - 1
  held.contextTokens[slot] = held.contextTokens[slot]! - prompt.contextTokens
}

/**
 * Takes out of the table what a thread that is gone held of it, and forgets that; returns the number of leases. Rows
 * that have gone to another endpoint since are left alone. For the main thread: rows change their owner only there.
 */
export function releaseHeld(table: EndpointTable, held: HeldLeases): number {
  freeProbesOf(table, held.holder)
  let released = 0
  for (let slot = 0; slot < held.inFlight.length; slot++) {
    if (sums.every((name) => held[name][slot] === 0)) continue
    if (Atomics.load(table.generation, slot) === held.generation[slot]) {
      for (const name of sums) Atomics.sub(table[name], slot, held[name][slot]!)
      released += held.inFlight[slot]!
    }
    for (const name of sums) held[name][slot] = 0
  }
  return released
}
