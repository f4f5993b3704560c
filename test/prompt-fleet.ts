import assert from 'node:assert/strict'
import type { ScheduleRequest } from '#contracts/schedule.ts'
import { seededRng } from '#core/clock.ts'
import { manualClock } from '#core/manual-clock.ts'
import { isRefusal } from '#core/refusal.ts'
import { createSlotAllocator } from '#datastore/assign-slots.ts'
import { createEndpointTable } from '#datastore/endpoint-table.ts'
import type { Lease } from '#datastore/lease.ts'
import { modelServerPlan, snapshotOf } from '#datastore/snapshot-case.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { plugins } from '#plugins/index.ts'
import { scheduleRequest } from '#plugins/plugin-case.ts'
import { createScheduler } from '#schedule/scheduler.ts'

/** A request whose prompt is this text and nothing else. */
export function promptRequest(text: string, more: Partial<ScheduleRequest> = {}): ScheduleRequest {
  const bytes = Buffer.from(text)
  return scheduleRequest({
    body: { slices: [bytes], bytes: bytes.length },
    promptSpans: [{ start: 0, end: bytes.length }],
    promptBytes: bytes.length,
    ...more,
  })
}

/** Text of so many tokens that the seed decides from the first one on. */
export function textOf(seed: string, tokens: number): string {
  return `${seed} `.repeat(Math.ceil((4 * tokens) / (seed.length + 1))).slice(0, 4 * tokens)
}

/** One replica of a gateway with the default profile in front of equal endpoints that hold 262,144 tokens each. */
export class PromptFleet {
  readonly table = createEndpointTable()
  readonly #pick: (request: ScheduleRequest) => { readonly slot: number; readonly lease: Lease }

  constructor(size: number, seed = 1) {
    const { table } = this
    const ids = Array.from({ length: size }, (_, i) => `h:${i + 1}`)
    const unassigned = snapshotOf([modelServerPlan('a/a', ids)], { profiles: { default: defaultProfile } })
    const snapshot = createSlotAllocator(table).assign(unassigned)
    const ports = { table, snapshot, plugins, rng: seededRng(seed), clock: manualClock(1_000_000) }
    const scheduler = createScheduler(ports)
    this.#pick = (request) => {
      const result = scheduler.pick('a/a', request, [])
      assert.ok(!isRefusal(result))
      return { slot: result.endpoint.slot, lease: result.lease }
    }
    for (let slot = 0; slot < size; slot++) {
      table.blockSize[slot] = 16
      table.blockCount[slot] = 16_384
    }
  }

  /** Places a request that goes on until its lease is released. */
  begin(request: ScheduleRequest): { readonly slot: number; readonly lease: Lease } {
    return this.#pick(request)
  }

  /** Places a request that is answered at once. */
  serve(request: ScheduleRequest): number {
    const { slot, lease } = this.#pick(request)
    lease.firstByte(1_000_010)
    lease.release()
    return slot
  }

  /** The greatest number of requests in flight less the smallest. */
  spread(size: number): number {
    const counts = this.table.inFlight.subarray(0, size)
    return Math.max(...counts) - Math.min(...counts)
  }
}
