import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Rng, seededRng } from '#core/clock.ts'
import { type ManualClock, manualClock } from '#core/manual-clock.ts'
import { AdapterTable } from './adapter-table.ts'
import { LiveEngine, type LiveSettings } from './live-engine.ts'
import { liveRequest, type Ticket, type Work } from './live-ticket.ts'
import type { EngineCall } from './model/engine-request.ts'
import { engineSettings } from './model/engine-settings.ts'
import { RankGroup } from './model/rank-group.ts'

const seeds = fc.integer({ min: 0, max: 2 ** 31 })
const runs = { numRuns: 40, seed: 11 }
const blockSize = 4

interface Plan {
  readonly live: LiveSettings
  /** Works with the times they arrive at, by the clock. */
  readonly arrivals: readonly { readonly atMs: number; readonly work: Work }[]
}

function below(rng: Rng, bound: number): number {
  return Math.floor(rng() * bound)
}

/** Prompts that share beginnings, on an engine so small that requests wait and are preempted. */
function randomPlan(seed: number, ranks: number): Plan {
  const rng = seededRng(seed)
  const model = engineSettings('llama-8b-h100', {
    kvBlocks: 30 + below(rng, 40),
    blockSize,
    maxNumSeqs: 1 + below(rng, 8),
    maxBatchedTokens: 32,
    maxAdapters: 1,
    frontEndMs: 1 + below(rng, 9),
    promptDelayMs: below(rng, 2) * 20,
  })
  const timeFactor = 2 ** below(rng, 5)
  const live = { model, ranks, timeFactor, streamInterval: 1, mergesTokens: rng() < 0.3 }
  let atMs = 0
  const arrivals = Array.from({ length: 40 }, () => {
    // Whole parts of a second power of two, so that sums and products of times are exact.
    atMs += below(rng, 30_000) / 1_024
    return { atMs, work: randomWork(rng, below(rng, 4) === 0 ? below(rng, ranks) : undefined) }
  })
  return { live, arrivals }
}

function randomWork(rng: Rng, rank: number | undefined): Work {
  const kind = below(rng, 3)
  return {
    promptTokens: Uint32Array.from({ length: 1 + below(rng, 60) }, (_, i) => kind * 1_000 + i),
    outputTokens: below(rng, 40),
    endsBy: 'stop',
    adapter: rng() < 0.3 ? 'sql' : undefined,
    cacheSalt: '',
    ...(rank === undefined ? {} : { rank }),
    onDone: () => {},
  }
}

/** Times of all tokens and ends in the model driven in virtual time. */
function virtualTimes({ live, arrivals }: Plan): string[] {
  const lines: string[] = []
  const numbers = new Map<EngineCall, number>()
  const log = (what: string) => (call: EngineCall, atMs: number) =>
    void lines.push(`${numbers.get(call)} ${what} ${call.producedTokens} at ${atMs}`)
  const group = new RankGroup(live.model, live.ranks, () => ({ onToken: log('token'), onFinished: log('end') }))
  const adapters = new AdapterTable(['sql'])
  for (const [index, { atMs, work }] of arrivals.entries()) {
    const adapter = work.adapter === undefined ? undefined : adapters.get(work.adapter)
    const nowMs = atMs * live.timeFactor
    const { call } = group.submit(liveRequest(work, blockSize, adapter).request, nowMs, work.rank)
    numbers.set(call, index)
  }
  group.advance(Number.POSITIVE_INFINITY)
  return lines.toSorted()
}

/** The same, by the live engine, on a clock whose timers are late. */
function liveTimes({ live, arrivals }: Plan, lateMs: () => number): string[] {
  const lines: string[] = []
  const manual = manualClock()
  const clock: ManualClock = { ...manual, after: (delayMs, fire) => manual.after(delayMs + lateMs(), fire) }
  const engine = new LiveEngine(live, clock, new AdapterTable(['sql']))
  const numbers = new Map<Ticket, number>()
  engine.observe({
    onAdmitted: () => {},
    onToken: (ticket) => lines.push(`${numbers.get(ticket)} token ${ticket.produced} at ${ticket.lastTokenMs}`),
    onFinished: (ticket) => lines.push(`${numbers.get(ticket)} end ${ticket.produced} at ${ticket.lastTokenMs}`),
    onStep: () => {},
  })
  for (const [index, { atMs, work }] of arrivals.entries()) {
    manual.advance(atMs - manual.nowMs())
    numbers.set(engine.submit(work), index)
  }
  manual.advance(1_000_000)
  assert.equal(manual.pending(), 0)
  const { running, waiting, usedBlocks } = engine.stats()
  assert.deepEqual([running, waiting, usedBlocks, engine.openCount], [0, 0, 0, 0])
  return lines.toSorted()
}

test('gives every token the time that the model gives it in virtual time, however late timers fire', () => {
  fc.assert(
    fc.property(seeds, fc.integer({ min: 1, max: 3 }), (seed, ranks) => {
      const plan = randomPlan(seed, ranks)
      const rng = seededRng(seed + 1)
      const virtual = virtualTimes(plan)
      assert.deepEqual(
        liveTimes(plan, () => 0),
        virtual,
      )
      assert.deepEqual(
        liveTimes(plan, () => (rng() < 0.2 ? rng() * 50 : rng())),
        virtual,
      )
    }),
    runs,
  )
})

test('holds nothing after clients left at random moments, and counts every request', () => {
  fc.assert(
    fc.property(seeds, (seed) => {
      const { live, arrivals } = randomPlan(seed, 2)
      const rng = seededRng(seed + 2)
      const manual = manualClock()
      const engine = new LiveEngine(
        live,
        { ...manual, after: (ms, fire) => manual.after(ms + rng() * 5, fire) },
        table(),
      )
      let done = 0
      const told = new Map<number, number>()
      const tickets = arrivals.map(({ atMs, work }, index) => {
        manual.advance(atMs - manual.nowMs())
        const ticket = engine.submit({
          ...work,
          onTokens: (first, count) => {
            assert.equal(first, told.get(index) ?? 0)
            assert.equal(ticket.produced, first + count)
            told.set(index, first + count)
          },
          onDone: () => void done++,
        })
        if (rng() < 0.5) manual.after(rng() * 200, () => (rng() < 0.3 ? ticket.freeze() : ticket.abort()))
        return ticket
      })
      manual.advance(100_000)
      const { submitted, finished, aborted, running, waiting } = engine.stats()
      assert.equal(submitted, finished + aborted + running + waiting)
      assert.equal(done, finished)
      for (const ticket of tickets) ticket.abort()
      const after = engine.stats()
      assert.deepEqual([after.running, after.waiting, after.usedBlocks, engine.openCount], [0, 0, 0, 0])
      for (const [index, ticket] of tickets.entries()) {
        if (ticket.phase === 'done') assert.equal(told.get(index) ?? 0, ticket.work.outputTokens)
      }
    }),
    runs,
  )
})

function table(): AdapterTable {
  return new AdapterTable(['sql'])
}
