/** Nanoseconds per routing and per scheduling decision: `scripts/run node bench/micro/schedule.ts`. */
import type { RoutePlan } from '#config/snapshot.ts'
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
import { compileRoutes } from '#route/compile-routes.ts'
import { createScheduler } from '#schedule/scheduler.ts'

const rounds = 7

/** Prints the median over rounds: other work on the machine only makes single rounds slower. */
function measure(name: string, times: number, run: () => void): void {
  for (let i = 0; i < times; i++) run()
  const perCall: number[] = []
  for (let round = 0; round < rounds; round++) {
    const started = process.hrtime.bigint()
    for (let i = 0; i < times; i++) run()
    perCall.push(Number(process.hrtime.bigint() - started) / times)
  }
  const median = perCall.toSorted((a, b) => a - b)[rounds >> 1] ?? Number.NaN
  console.log(`${name.padEnd(52)} ${median.toFixed(0).padStart(9)} ns`)
}

const always = (): boolean => true
const rng = seededRng(1)
const routes: RoutePlan[] = Array.from({ length: 50 }, (_, i) => ({
  name: `default/model-${i}`,
  modelName: `model-${i}`,
  adapters: [`sql-${i}`, `chat-${i}`],
  attached: false,
  rules: [
    {
      name: 'premium',
      headers: [{ name: 'user-type', match: { kind: 'exact', value: 'premium' } }],
      path: undefined,
      model: undefined,
      targets: [{ modelServer: 'a/a', weight: 100 }],
    },
    {
      name: 'rest',
      headers: [],
      path: { kind: 'regex', value: '^/v1/(chat/)?completions$' },
      model: undefined,
      targets: [
        { modelServer: 'a/a', weight: 70 },
        { modelServer: 'a/b', weight: 30 },
      ],
    },
  ],
}))
const headers = [
  'host',
  'gateway',
  'content-type',
  'application/json',
  'authorization',
  'Bearer x',
  'user-agent',
  'curl/8',
]
const premium = [...headers, 'user-type', 'premium']
const table = compileRoutes({ routes, modelServers: [] })
const path = '/v1/chat/completions'

measure('route: header rule', 1e6, () => void table.route({ model: 'model-7', headers: premium, path }, always, rng))
measure('route: regex rule and draw', 5e5, () => void table.route({ model: 'model-7', headers, path }, always, rng))
measure('route: unknown among 150 names', 2e4, () => void table.route({ model: 'modle-7', headers, path }, always, rng))

for (const count of [1, 3, 10, 100, 1000]) {
  for (const adapter of [-1, 2]) {
    const endpointTable = createEndpointTable()
    const ids = Array.from({ length: count }, (_, i) => `h:${i}`)
    const unassigned = snapshotOf([modelServerPlan('a/a', ids)], { profiles: { default: defaultProfile } })
    const snapshot = createSlotAllocator(endpointTable).assign(unassigned)
    for (let slot = 0; slot < count; slot++) {
      endpointTable.running[slot] = rng() * 20
      endpointTable.waiting[slot] = rng() * 2
      endpointTable.inFlightAtReport[slot] = 3
      endpointTable.kvUse[slot] = rng()
      endpointTable.ttftMs[slot] = 100 + rng() * 200
      endpointTable.tpotMs[slot] = 10 + rng() * 20
      endpointTable.observedAtMs[slot] = 999_000
    }
    const clock = manualClock(1_000_000)
    const scheduler = createScheduler({ table: endpointTable, snapshot, plugins, rng, clock })
    const request = scheduleRequest({ adapter, promptBytes: 2000 })
    const what = adapter < 0 ? 'base model' : 'adapter'
    measure(`pick and release: ${count} endpoints, ${what}`, count > 100 ? 2e4 : 2e5, () => {
      const pick = scheduler.pick('a/a', request, [])
      if (isRefusal(pick)) throw new Error(pick.message)
      pick.lease.firstByte(1)
      pick.lease.release()
    })
    if (openLeases(endpointTable) !== 0) throw new Error('a lease has leaked')
  }
}
