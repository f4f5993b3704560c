/** Entry of a worker of least-request-over-threads.test.ts: picks and releases on a shared table when it is told to. */
import { workerData } from 'node:worker_threads'
import type { Snapshot } from '#config/snapshot.ts'
import type { ScheduleRequest } from '#contracts/schedule.ts'
import { seededRng, systemClock } from '#core/clock.ts'
import { isRefusal } from '#core/refusal.ts'
import { attachEndpointTable } from '#datastore/endpoint-table.ts'
import { attachHeldLeases } from '#datastore/held-leases.ts'
import type { Lease } from '#datastore/lease.ts'
import { plugins } from '#plugins/index.ts'
import { createScheduler } from '#schedule/scheduler.ts'

/** Cells by which the test leads its workers. */
export const cell = { round: 0, picks: 1, releases: 2, done: 3, failed: 4 } as const

/** What a worker is started with. */
export interface PickingThreadData {
  readonly index: number
  readonly snapshot: Snapshot
  readonly endpoints: SharedArrayBuffer
  readonly held: SharedArrayBuffer
  readonly control: SharedArrayBuffer
  readonly modelServer: string
}

const request: ScheduleRequest = {
  model: 'm',
  adapter: -1,
  headers: [],
  body: { slices: [], bytes: 0 },
  promptSpans: [],
  promptBytes: 10,
  maxTokens: undefined,
  session: undefined,
  cacheSalt: undefined,
  stream: false,
  nowMs: 0,
}

function work({ index, snapshot, endpoints, held, control, modelServer }: PickingThreadData): void {
  const rng = seededRng(index + 1)
  const table = attachEndpointTable(endpoints, attachHeldLeases(held, index + 1))
  const scheduler = createScheduler({ table, snapshot, plugins, rng, clock: systemClock() })
  const cells = new Int32Array(control)
  const leases: Lease[] = []
  const pick = (): void => {
    const picked = scheduler.pick(modelServer, request, [])
    if (isRefusal(picked)) Atomics.add(cells, cell.failed, 1)
    else leases.push(picked.lease)
  }
  const releaseAny = (): void => {
    const at = Math.floor(rng() * leases.length)
    const last = leases.pop()
    if (last === undefined) return
    const lease = leases[at] ?? last
    if (lease !== last) leases[at] = last
    lease.release()
  }
  for (let round = 0; ; ) {
    Atomics.wait(cells, cell.round, round)
    round = Atomics.load(cells, cell.round)
    if (round < 0) return
    for (let releases = Atomics.load(cells, cell.releases); releases > 0; releases--) releaseAny()
    for (let picks = Atomics.load(cells, cell.picks); picks > 0; picks--) pick()
    Atomics.add(cells, cell.done, 1)
    Atomics.notify(cells, cell.done)
  }
}

const data = workerData as PickingThreadData | null
if (data !== null && typeof data === 'object' && 'control' in data) work(data)
