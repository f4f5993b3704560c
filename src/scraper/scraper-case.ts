import assert from 'node:assert/strict'
import type { EndpointPlan, ModelServerPlan, ScrapePlan, Snapshot } from '#config/snapshot.ts'
import { seededRng } from '#core/clock.ts'
import { manualClock } from '#core/manual-clock.ts'
import { createEndpointTable } from '#datastore/endpoint-table.ts'
import type { CreateGetClient, GetAnswer, GetFailure, GetTarget } from './get-port.ts'
import { createScraper } from './scraper.ts'

/** What a fake engine does with a GET. */
type Reply = { readonly status: number; readonly body: string } | GetFailure | 'hang'
/** Plays all engines. */
export type Engine = (path: string, target: GetTarget) => Reply

/** A GET that was sent. */
export interface Asked {
  readonly port: number
  readonly path: string
  readonly atMs: number
}

/** Adapters that have an id, which is their place. */
export const adapterNames = ['sql', 'chat', 'tweet']
/** A page of a busy engine. */
export const page = 'vllm:num_requests_running 3\nvllm:num_requests_waiting 1\nvllm:kv_cache_usage_perc 0.5\n'
/** A good answer. */
export const ok = (body: string): Reply => ({ status: 200, body })
/** Every 200 ms. */
export const scrapePlan: ScrapePlan = { path: '/metrics', port: undefined, intervalMs: 200 }

/** A vLLM in this row; behind a port of its own unless given. */
export function endpoint(slot: number, with_: Partial<EndpointPlan> = {}): EndpointPlan {
  const port = with_.port ?? 8000 + slot
  return {
    id: `10.0.0.1:${port}`,
    slot,
    generation: 1,
    engine: 'vllm',
    scrape: scrapePlan,
    host: '10.0.0.1',
    port,
    rank: undefined,
    role: 'both',
    labels: {},
    ...with_,
  }
}

/** One model server with these endpoints. */
export function snapshotOf(endpoints: readonly EndpointPlan[], server: Partial<ModelServerPlan> = {}): Snapshot {
  const plan = { key: 'default/m', engine: 'vllm', endpoints, tls: undefined, basePath: '', setHeaders: [], ...server }
  return { modelServers: [plan as unknown as ModelServerPlan] } as unknown as Snapshot
}

/** A scraper whose engines are played by the test, and what it did. */
export function setUp(engine: Engine, latencyMs = 5) {
  const clock = manualClock(1000)
  const table = createEndpointTable()
  const asked: Asked[] = []
  const events: string[] = []
  const restarted: number[] = []
  const state = { underWay: 0, mostPerClient: 0, clients: 0, engine }
  const createGetClient: CreateGetClient = (target) => {
    let pending: { done: (answer: GetAnswer) => void; timer: { cancel(): void } } | undefined
    state.clients++
    const finish = (answer: GetAnswer): void => {
      const { done, timer } = pending as NonNullable<typeof pending>
      timer.cancel()
      pending = undefined
      state.underWay--
      done(answer)
    }
    return {
      get(path, done) {
        assert.equal(pending, undefined, 'two at once')
        asked.push({ port: target.port, path, atMs: clock.nowMs() })
        state.underWay++
        state.mostPerClient = Math.max(state.mostPerClient, state.underWay)
        const reply = state.engine(path, target)
        const answer: GetAnswer =
          typeof reply === 'string'
            ? { kind: 'failure', reason: reply === 'hang' ? 'timeout' : reply, message: `it ${reply}` }
            : { kind: 'answer', status: reply.status, body: Buffer.from(reply.body) }
        const timer = clock.after(reply === 'hang' ? 1e9 : latencyMs, () => finish(answer))
        pending = { done, timer }
      },
      abort(reason) {
        if (pending !== undefined) finish({ kind: 'failure', reason, message: `aborted: ${reason}` })
      },
      close() {
        state.clients--
        if (pending === undefined) return
        pending.timer.cancel()
        pending = undefined
        state.underWay--
      },
    }
  }
  const scraper = createScraper({
    table,
    clock,
    rng: seededRng(7),
    createGetClient,
    adapterId: (name) => adapterNames.indexOf(name),
    observer: {
      scraped: () => events.push('scraped'),
      failed: (_, reason) => events.push(reason),
      healthChanged: (_, value) => events.push(`health ${value}`),
      restarted: ({ slot }) => restarted.push(slot),
    },
  })
  for (let slot = 0; slot < 8; slot++) table.generation[slot] = 1
  return { clock, table, asked, events, restarted, state, scraper }
}

/** An engine that has a metrics page and nothing else. */
export const onlyPage =
  (body: string): Engine =>
  (path) =>
    path.startsWith('/metrics') ? ok(body) : { status: 404, body: '' }
