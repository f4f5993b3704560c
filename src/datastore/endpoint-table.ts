import type { LoadColumns } from '#contracts/load.ts'
import { createHeldLeases, type HeldLeases } from './held-leases.ts'

/** Most endpoints one gateway holds at a time. */
export const maxEndpoints = 4096

/** Most adapter names that can be told apart; see interned-names.ts. */
export const maxAdapters = 256

const adapterWords = maxAdapters / 32

/**
 * The endpoint table: a struct of typed arrays over one SharedArrayBuffer, one row (slot) per endpoint. Every thread
 * attaches its own views to the same memory; single values are written without locks, counters with `Atomics`.
 */
export interface EndpointTable extends LoadColumns, BreakerColumns {
  /** Hand it to another thread, which calls `attachEndpointTable`. */
  readonly buffer: SharedArrayBuffer
  /** What the thread of these views holds of the table. */
  readonly held: HeldLeases
  /** Grows by one when a slot is given to another endpoint; leases carry it so that a late release hits nothing. */
  readonly generation: Int32Array
  /** One bit per adapter id: `adapterWords` words per slot. */
  readonly adapterBits: Int32Array
}

/** What breaker.ts keeps of each endpoint beside `ejected` and `consecutiveErrors` of the loads. */
interface BreakerColumns {
  /** From then on (Clock.nowMs) an ejected endpoint may be probed; 0 unless ejected. */
  readonly ejectedUntilMs: Float64Array
  /** When it last came back, from an ejection or from being unready (Clock.nowMs); 0 = it was never gone. */
  readonly returnedAtMs: Float64Array
  /** `held.holder` of the thread whose request probes the endpoint; 0 = nobody's. */
  readonly probe: Int32Array
  /** Ejections of late: the next one lasts 2^level times as long as the first. */
  readonly ejectionLevel: Int32Array
  /** Whose failures make up the streak: 0 = there is none, -1 = of several clients, else the hash of the one. */
  readonly streakClient: Int32Array
  /** Number of the half window that `goodNow` and `badNow` count. */
  readonly windowHalf: Int32Array
  readonly goodNow: Int32Array
  readonly badNow: Int32Array
  /** The same counts of the half window before. */
  readonly goodBefore: Int32Array
  readonly badBefore: Int32Array
  /** Whose failures are in the window; as in `streakClient`. */
  readonly windowClient: Int32Array
  /** Ejections since the row was given to the endpoint, by reason. */
  readonly ejectionsByStreak: Int32Array
  readonly ejectionsByRatio: Int32Array
  readonly ejectionsByProbe: Int32Array
}

type ColumnName = {
  [Key in keyof EndpointTable]: EndpointTable[Key] extends Float64Array | Int32Array ? Key : never
}[keyof EndpointTable]

const floatColumns = [
  'running',
  'waiting',
  'kvUse',
  'reportedAtMs',
  'inFlightAtReport',
  'ttftMs',
  'tpotMs',
  'prefillUs',
  'observedAtMs',
  'restUntilMs',
  'maxAdapters',
  'adapterCount',
  'blockSize',
  'blockCount',
  'ejectedUntilMs',
  'returnedAtMs',
] as const satisfies readonly ColumnName[]

/** What breaker.ts writes, but for the counts of ejections. */
const breakerColumns = [
  'ejected',
  'consecutiveErrors',
  'probe',
  'ejectionLevel',
  'streakClient',
  'windowHalf',
  'goodNow',
  'badNow',
  'goodBefore',
  'badBefore',
  'windowClient',
] as const satisfies readonly ColumnName[]

const intColumns = [
  'health',
  'inFlight',
  'prefilling',
  'uncachedTokens',
  'contextTokens',
  ...breakerColumns,
  'ejectionsByStreak',
  'ejectionsByRatio',
  'ejectionsByProbe',
] as const satisfies readonly ColumnName[]

/** Columns whose value is unknown until somebody says so. */
const unknownColumns = [
  'running',
  'waiting',
  'kvUse',
  'inFlightAtReport',
  'ttftMs',
  'tpotMs',
  'prefillUs',
  'maxAdapters',
  'adapterCount',
  'blockSize',
  'blockCount',
] as const satisfies readonly (typeof floatColumns)[number][]

const reportColumns = ['running', 'waiting', 'kvUse', 'inFlightAtReport', 'maxAdapters', 'adapterCount'] as const

const bytesPerSlot = floatColumns.length * 8 + (intColumns.length + 1 + adapterWords) * 4

/** Creates an empty table (about 910 KB, shared). */
export function createEndpointTable(): EndpointTable {
  const table = attachEndpointTable(new SharedArrayBuffer(maxEndpoints * bytesPerSlot))
  for (let slot = 0; slot < maxEndpoints; slot++) resetSlot(table, slot)
  return table
}

/** Views of an existing table, for another thread; a thread whose leases are to outlive it brings `held`. */
export function attachEndpointTable(
  buffer: SharedArrayBuffer,
  held: HeldLeases = createHeldLeases(maxEndpoints, 1),
): EndpointTable {
  let offset = 0
  const floats = {} as Record<(typeof floatColumns)[number], Float64Array>
  for (const name of floatColumns) {
    floats[name] = new Float64Array(buffer, offset, maxEndpoints)
    offset += maxEndpoints * 8
  }
  const ints = {} as Record<(typeof intColumns)[number] | 'generation', Int32Array>
  for (const name of [...intColumns, 'generation'] as const) {
    ints[name] = new Int32Array(buffer, offset, maxEndpoints)
    offset += maxEndpoints * 4
  }
  const adapterBits = new Int32Array(buffer, offset, maxEndpoints * adapterWords)
  return {
    buffer,
    held,
    ...floats,
    ...ints,
    adapterBits,
    hasAdapter: (slot, adapter) =>
      adapter >= 0 && ((adapterBits[slot * adapterWords + (adapter >> 5)] ?? 0) & (1 << (adapter & 31))) !== 0,
  }
}

/**
 * Forgets everything about a slot, and starts its next generation. Called by the main thread only. The generation goes
 * first, so that a lease of the one before no longer counts down what is zeroed here.
 */
export function resetSlot(table: EndpointTable, slot: number): void {
  Atomics.add(table.generation, slot, 1)
  for (const name of floatColumns) table[name][slot] = 0
  for (const name of unknownColumns) table[name][slot] = Number.NaN
  for (const name of intColumns) Atomics.store(table[name], slot, 0)
  setAdapters(table, slot, [])
}

/**
 * Forgets health, failures and what the engine reported of an endpoint that comes back after it was gone. Requests
 * still on it stay counted, and what was observed of its speed stays known.
 */
export function forgetReports(table: EndpointTable, slot: number): void {
  for (const name of reportColumns) table[name][slot] = Number.NaN
  table.reportedAtMs[slot] = 0
  table.restUntilMs[slot] = 0
  table.ejectedUntilMs[slot] = 0
  table.returnedAtMs[slot] = 0
  Atomics.store(table.health, slot, 0)
  for (const name of breakerColumns) Atomics.store(table[name], slot, 0)
  setAdapters(table, slot, [])
}

/** Replaces the set of adapters known to be on an endpoint. Ids outside 0..255 are ignored. */
export function setAdapters(table: EndpointTable, slot: number, adapters: readonly number[]): void {
  const words = new Int32Array(adapterWords)
  for (const adapter of adapters) {
    if (adapter < 0 || adapter >= maxAdapters) continue
    words[adapter >> 5] = (words[adapter >> 5] ?? 0) | (1 << (adapter & 31))
  }
  table.adapterBits.set(words, slot * adapterWords)
}

/** Adds one adapter to those known to be on an endpoint: learned from traffic, ahead of the next scrape. */
export function addAdapter(table: EndpointTable, slot: number, adapter: number): void {
  if (adapter < 0 || adapter >= maxAdapters) return
  Atomics.or(table.adapterBits, slot * adapterWords + (adapter >> 5), 1 << (adapter & 31))
}
