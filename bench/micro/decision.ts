/**
 * Microseconds that a decision of the default profile takes, hashing included: `scripts/run node bench/micro/decision.ts`.
 * Reading and targets: docs/performance.md.
 */
import { seededRng } from '#core/clock.ts'
import { manualClock } from '#core/manual-clock.ts'
import { isRefusal } from '#core/refusal.ts'
import { createSlotAllocator } from '#datastore/assign-slots.ts'
import { createEndpointTable } from '#datastore/endpoint-table.ts'
import { openLeases } from '#datastore/lease.ts'
import { modelServerPlan, snapshotOf } from '#datastore/snapshot-case.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { plugins } from '#plugins/index.ts'
import { scheduleRequest } from '#plugins/plugin-case.ts'
import { createScheduler, type EndpointPick, type Scheduler } from '#schedule/scheduler.ts'
import { prefixIndexMemory } from '#struct/prefix-index.ts'

const bytesPerToken = 4
const indexBlocks = 1_000_000
const decisions = 600
/** Requests in flight at each endpoint, at most so many in all. */
const inFlightEach = 4
const mostInFlight = 400
const rng = seededRng(1)
const kinds = ['known', 'half known', 'new'] as const

interface Times {
  readonly pickUs: number[]
  readonly restUs: number[]
}

function percentile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN
}

/** A prompt that shares its first `shared` bytes with those of the same family. */
function fill(prompt: Buffer, family: number, shared: number): void {
  const draw = seededRng(family + 1)
  for (let i = 0; i < prompt.length; i += 4) {
    const word = i < shared ? draw() : rng()
    prompt.writeUInt32LE(Math.floor(word * 2 ** 32) >>> 0, i)
  }
}

function schedulerOf(endpoints: number): { readonly scheduler: Scheduler; readonly check: () => void } {
  const table = createEndpointTable()
  const ids = Array.from({ length: endpoints }, (_, i) => `h:${i}`)
  const unassigned = snapshotOf([modelServerPlan('a/a', ids)], { profiles: { default: defaultProfile } })
  const snapshot = createSlotAllocator(table).assign(unassigned)
  for (let slot = 0; slot < endpoints; slot++) {
    table.running[slot] = inFlightEach
    table.waiting[slot] = 0
    table.inFlightAtReport[slot] = inFlightEach
    table.kvUse[slot] = rng()
    table.blockSize[slot] = 16
    table.blockCount[slot] = 20_000
    table.tpotMs[slot] = 10 + rng() * 20
    table.observedAtMs[slot] = 999_000
  }
  const prefixMemory = prefixIndexMemory({ blocks: indexBlocks })
  const clock = manualClock(1_000_000)
  const scheduler = createScheduler({ table, snapshot, plugins, rng, clock, prefixMemory })
  const check = (): void => {
    if (openLeases(table) !== 0) throw new Error('a lease has leaked')
  }
  return { scheduler, check }
}

function measure(scheduler: Scheduler, tokens: number, kind: (typeof kinds)[number], inFlight: number): Times {
  const prompt = Buffer.alloc(tokens * bytesPerToken)
  const shared = { known: prompt.length, 'half known': prompt.length / 2, new: 0 }[kind]
  const times: Times = { pickUs: [], restUs: [] }
  const open: EndpointPick[] = []
  const request = scheduleRequest({
    body: { slices: [prompt], bytes: prompt.length },
    promptSpans: [{ start: 0, end: prompt.length, countsAs: undefined }],
    promptBytes: prompt.length,
  })
  for (let i = 0; i < decisions; i++) {
    fill(prompt, i % 16, shared)
    const started = process.hrtime.bigint()
    const pick = scheduler.pick('a/a', request, [])
    const picked = process.hrtime.bigint()
    if (isRefusal(pick)) throw new Error(pick.message)
    open.push(pick)
    const oldest = open.length > inFlight ? open.shift() : undefined
    const restStarted = process.hrtime.bigint()
    oldest?.lease.firstByte(1)
    oldest?.lease.release()
    const ended = process.hrtime.bigint()
    // The first ones find empty caches and cold code.
    if (i < decisions / 3) continue
    times.pickUs.push(Number(picked - started) / 1000)
    if (oldest !== undefined) times.restUs.push(Number(ended - restStarted) / 1000)
  }
  for (const pick of open) pick.lease.release()
  return times
}

console.log('| endpoints | tokens | prompt | decision p50 | p99 | first byte and end p50 |')
console.log('| ---: | ---: | :--- | ---: | ---: | ---: |')
for (const endpoints of [3, 10, 64, 100, 1000]) {
  const { scheduler, check } = schedulerOf(endpoints)
  const inFlight = Math.min(mostInFlight, endpoints * inFlightEach)
  for (const tokens of [100, 1000, 10_000, 100_000]) {
    for (const kind of kinds) {
      const { pickUs, restUs } = measure(scheduler, tokens, kind, Math.min(inFlight, decisions / 3))
      const sorted = pickUs.toSorted((a, b) => a - b)
      const rest = restUs.toSorted((a, b) => a - b)
      const figures = [percentile(sorted, 0.5), percentile(sorted, 0.99), percentile(rest, 0.5)]
      console.log(`| ${endpoints} | ${tokens} | ${kind} | ${figures.map((us) => us.toFixed(1)).join(' | ')} |`)
    }
  }
  check()
}
