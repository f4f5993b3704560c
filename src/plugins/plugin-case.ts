import { createFacts } from '#contracts/facts.ts'
import type { LoadColumns } from '#contracts/load.ts'
import type { Candidates, PluginPorts, ScheduleRequest } from '#contracts/schedule.ts'
import type { Rng } from '#core/clock.ts'

type Column = Exclude<keyof LoadColumns, 'hasAdapter'>

/** What is known of one endpoint; a value not given is what the table holds before anybody said anything. */
export type LoadRow = Partial<Record<Column, number>> & { readonly adapters?: readonly number[] }

const columns: Readonly<Record<Column, 'unknown' | 'zero' | 'count'>> = {
  running: 'unknown',
  waiting: 'unknown',
  kvUse: 'unknown',
  reportedAtMs: 'zero',
  inFlightAtReport: 'unknown',
  health: 'count',
  inFlight: 'count',
  prefilling: 'count',
  uncachedTokens: 'count',
  contextTokens: 'count',
  ttftMs: 'unknown',
  tpotMs: 'unknown',
  prefillUs: 'unknown',
  observedAtMs: 'zero',
  consecutiveErrors: 'count',
  restUntilMs: 'zero',
  ejected: 'count',
  maxAdapters: 'unknown',
  adapterCount: 'unknown',
  blockSize: 'unknown',
  blockCount: 'unknown',
}

/** Slot of the endpoint at an index: never the index itself, so that mixing the two up shows. */
export function slotAt(index: number): number {
  return 3 * index + 2
}

/** Candidates with these loads, for tests of plug-ins. Slots of other endpoints hold values that would show. */
export function candidatesOf(rows: readonly LoadRow[]): Candidates {
  const size = slotAt(rows.length)
  const loads = Object.fromEntries(
    (Object.keys(columns) as Column[]).map((name) => {
      const values = Array.from({ length: size }, () => 77)
      rows.forEach((row, i) => {
        values[slotAt(i)] = row[name] ?? (columns[name] === 'unknown' ? Number.NaN : 0)
      })
      return [name, columns[name] === 'count' ? Int32Array.from(values) : Float64Array.from(values)]
    }),
  ) as unknown as Omit<LoadColumns, 'hasAdapter'>
  const hasAdapter = (slot: number, adapter: number): boolean =>
    rows.some((row, i) => slotAt(i) === slot && (row.adapters ?? []).includes(adapter))
  return { slots: Int32Array.from(rows, (_, i) => slotAt(i)), count: rows.length, loads: { ...loads, hasAdapter } }
}

/** Rows that test endpoints may have: `slotAt` of a thousand of them. */
const factRows = 4096

/** What a plug-in is made with, with facts about nothing. */
export function pluginPorts(rng: Rng = () => 0): PluginPorts {
  return { rng, facts: createFacts(factRows), endpointOf: () => undefined }
}

/** Indexes that are left of candidates made by `candidatesOf`. */
export function leftOf({ slots, count }: Candidates): number[] {
  return Array.from(slots.subarray(0, count), (slot) => (slot - 2) / 3)
}

/** A request for the base model at 1,000,000 ms, but for what is given. */
export function scheduleRequest(given: Partial<ScheduleRequest> = {}): ScheduleRequest {
  return {
    model: 'base',
    adapter: -1,
    headers: [],
    body: { slices: [], bytes: 0 },
    promptSpans: [],
    promptBytes: 0,
    maxTokens: undefined,
    session: undefined,
    cacheSalt: undefined,
    stream: true,
    nowMs: 1_000_000,
    ...given,
  }
}
