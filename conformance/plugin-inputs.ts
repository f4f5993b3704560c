import type { LoadColumns } from '#contracts/load.ts'
import type { Candidates, ScheduleRequest } from '#contracts/schedule.ts'
import { seededRng } from '#core/clock.ts'
import { candidatesOf, type LoadRow, scheduleRequest } from '#plugins/plugin-case.ts'

/** Generated inputs of a plug-in, and what they hold now as comparable data. */
export interface PluginInputs {
  readonly request: ScheduleRequest
  readonly candidates: Candidates
  state(): { readonly request: ScheduleRequest; readonly slots: number[]; readonly columns: Record<string, number[]> }
}

/** Inputs with `count` endpoints: known, unknown and odd values mixed. The same seed gives the same inputs. */
export function inputsOf(seed: number, count: number): PluginInputs {
  const rng = seededRng(seed)
  const whole = (most: number): number => Math.floor(rng() * (most + 1))
  const maybe = (value: number): number => (rng() < 0.3 ? Number.NaN : value)
  const nowMs = 1_000_000
  const rows = Array.from({ length: count }, (): LoadRow => {
    return {
      running: maybe(whole(200)),
      waiting: maybe(whole(50)),
      kvUse: maybe(rng() * 1.1),
      inFlight: whole(100),
      inFlightAtReport: maybe(whole(100)),
      ttftMs: maybe(rng() * 5000),
      tpotMs: maybe(rng() * 80),
      observedAtMs: rng() < 0.2 ? 0 : nowMs - whole(60_000),
      health: whole(2),
      restUntilMs: rng() < 0.5 ? 0 : nowMs + whole(2000) - 1000,
      ejected: rng() < 0.3 ? 1 : 0,
      maxAdapters: maybe(whole(4)),
      adapterCount: maybe(whole(4)),
      adapters: [0, 1, 2].filter(() => rng() < 0.3),
    }
  })
  const candidates = candidatesOf(rows)
  const request = scheduleRequest({ nowMs, adapter: 1, promptBytes: whole(100_000), session: 's' })
  const columnNames = Object.keys(candidates.loads).filter((name) => name !== 'hasAdapter')
  return {
    request,
    candidates,
    state: () => ({
      request: structuredClone(request),
      slots: [...candidates.slots],
      columns: Object.fromEntries(
        columnNames.map((name) => [name, [...(candidates.loads[name as keyof LoadColumns] as Float64Array)]]),
      ),
    }),
  }
}

/** The same candidates; names of the columns that are asked for are added to `read`. */
export function watchReads(candidates: Candidates, read: Set<string>): Candidates {
  const loads = new Proxy(candidates.loads, {
    get(target, name) {
      read.add(String(name))
      return target[name as keyof LoadColumns]
    },
  })
  return { slots: candidates.slots, count: candidates.count, loads }
}
