import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { hashSegmentBlocks } from './block-hash.ts'
import { EngineModel } from './engine-model.ts'
import type { EngineObserver } from './engine-observer.ts'
import type { EngineCall, EngineRequest } from './engine-request.ts'
import { apply, assertConserved, logTo, randomScript, type Script } from './engine-script.ts'
import { engineSettings } from './engine-settings.ts'

const seeds = fc.integer({ min: 0, max: 2 ** 31 })
const runs = { numRuns: 60, seed: 5 }
const endMs = 10_000_000

/** Runs a script to its end and returns the log of its events; `after` is called after every action. */
function play(script: Script, observer: (lines: string[]) => EngineObserver, after?: Check): string {
  const lines: string[] = []
  const engine = new EngineModel(script.settings, observer(lines))
  const calls: EngineCall[] = []
  for (const action of script.actions) {
    apply(engine, action, calls)
    after?.(engine, calls, action.atMs)
  }
  engine.advance(endMs)
  after?.(engine, calls, endMs)
  return `${lines.join('\n')}\n${JSON.stringify(engine.counters)}\n${JSON.stringify(calls.map(outcome))}`
}

type Check = (engine: EngineModel, calls: readonly EngineCall[], nowMs: number) => void

function outcome({ request: _, ...call }: EngineCall): object {
  const { number, phase, producedTokens, cachedTokens, preemptions, firstTokenMs, lastTokenMs } = call
  return { number, phase, producedTokens, cachedTokens, preemptions, firstTokenMs, lastTokenMs }
}

describe('an engine model, over random work', () => {
  test('loses and invents no block, request or token, at every step', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const lines: string[] = []
        const script = randomScript(seed, 60)
        const calls: EngineCall[] = []
        const engine = new EngineModel(script.settings, logTo(lines))
        for (const action of script.actions) {
          // One event at a time, so that the state after each step is looked at.
          while (engine.nextEventMs < action.atMs) {
            engine.advance(engine.nextEventMs)
            assertConserved(engine, calls)
          }
          apply(engine, action, calls)
          assertConserved(engine, calls)
        }
      }),
      runs,
    )
  })

  test('gives every request an end, and then holds no block', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        play(randomScript(seed, 80), logTo, (engine, calls, nowMs) => {
          if (nowMs !== endMs) return
          assertConserved(engine, calls)
          const most = engine.settings.role === 'prefill' ? 1 : Number.POSITIVE_INFINITY
          for (const call of calls) {
            assert.ok(
              call.phase === 'finished' || call.phase === 'cancelled',
              `request ${call.number} is ${call.phase}`,
            )
            const wanted = Math.min(most, call.request.outputTokens)
            if (call.phase === 'finished') assert.equal(call.producedTokens, wanted)
          }
          assert.equal(engine.cache.usedBlocks, 0)
          assert.equal(engine.nextEventMs, Number.POSITIVE_INFINITY)
        })
      }),
      runs,
    )
  })

  test('steps in bulk exactly as one by one', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const singly = play(randomScript(seed, 80), (lines) => ({ ...logTo(lines), onToken: () => undefined }))
        assert.equal(play(randomScript(seed, 80), logTo), singly)
      }),
      runs,
    )
  })

  test('gives the same events however the driver cuts time', () => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: 1, max: 40 }), (seed, cutMs) => {
        const whole = play(randomScript(seed, 50), logTo)
        const lines: string[] = []
        const { settings, actions } = randomScript(seed, 50)
        const engine = new EngineModel(settings, logTo(lines))
        const calls: EngineCall[] = []
        let nowMs = 0
        for (const action of actions) {
          for (; nowMs < action.atMs; nowMs += cutMs) engine.advance(nowMs)
          apply(engine, action, calls)
        }
        engine.advance(endMs)
        const events = `${lines.join('\n')}\n${JSON.stringify(engine.counters)}\n${JSON.stringify(calls.map(outcome))}`
        if (settings.frontEndMs > 0) assert.equal(events, whole)
      }),
      runs,
    )
  })

  test('has nothing to tell before the next event it names', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const { settings, actions } = randomScript(seed, 40)
        let heard = 0
        const hear = (_: EngineCall, atMs: number): void => void (heard = atMs)
        const engine = new EngineModel(settings, { onFirstToken: hear, onFinished: hear })
        const calls: EngineCall[] = []
        for (const action of actions) apply(engine, action, calls)
        for (let dueMs = engine.nextEventMs; dueMs < Number.POSITIVE_INFINITY; dueMs = engine.nextEventMs) {
          heard = 0
          engine.advance(dueMs)
          assert.ok(heard === 0 || heard === dueMs, `an event at ${heard} was announced for ${dueMs}`)
        }
      }),
      runs,
    )
  })

  test('writes the same log again for the same seed', () => {
    assert.equal(play(randomScript(42, 200), logTo), play(randomScript(42, 200), logTo))
    assert.notEqual(play(randomScript(42, 200), logTo), play(randomScript(43, 200), logTo))
  })
})

const settings = engineSettings('llama-8b-h100', { kvBlocks: 100, frontEndMs: 0 })

function request(promptTokens: number, outputTokens: number, more: Partial<EngineRequest> = {}): EngineRequest {
  const segments = [
    { seed: 1, tokens: promptTokens },
    { seed: 2, tokens: outputTokens },
  ]
  return { promptTokens, outputTokens, blockHashes: hashSegmentBlocks(segments, 16, 0), ...more }
}

/** A prompt that shares nothing with others. */
function loner(seed: number, promptTokens: number, outputTokens: number): EngineRequest {
  const segments = [{ seed, tokens: promptTokens + outputTokens }]
  return request(promptTokens, outputTokens, { blockHashes: hashSegmentBlocks(segments, 16, 0) })
}

describe('an engine model', () => {
  test('answers a lone request in front end, one prefill step and one step per token', () => {
    const engine = new EngineModel({ ...settings, frontEndMs: 9 })
    const call = engine.submit(request(160, 3), 100)
    engine.advance(1_000)
    const prefillMs = 0.8 + 5.9 + (1.06 * 160 * 80) / 1e6 + 0.005
    const decodeMs = (context: number): number => 0.8 + 5.9 + (39 * context) / 1e6 + 0.005
    assert.equal(call.admittedMs, 109)
    assert.ok(Math.abs(call.firstTokenMs - (109 + prefillMs)) < 1e-9)
    assert.ok(Math.abs(call.lastTokenMs - (call.firstTokenMs + decodeMs(161) + decodeMs(162))) < 1e-9)
    assert.equal(call.phase, 'finished')
  })

  test('computes the last block of a fully cached prompt again and announces it again', () => {
    const stored: number[][] = []
    const engine = new EngineModel(settings, { onBlocksStored: (_, first, count) => void stored.push([first, count]) })
    engine.submit(request(64, 1), 0)
    engine.advance(100)
    const again = engine.submit(request(64, 1), 200)
    engine.advance(300)
    assert.equal(again.cachedTokens, 48)
    assert.deepEqual(stored, [
      [0, 4],
      [3, 1],
    ])
  })

  test('shares the blocks of equal prefixes, so that more requests fit', () => {
    const engine = new EngineModel(settings)
    for (let i = 0; i < 10; i++) engine.submit(request(800, 20), i * 50)
    engine.advance(500)
    assert.ok(engine.cache.usedBlocks <= 70, `${engine.cache.usedBlocks} blocks`)
    assert.equal(engine.counters.preemptions, 0)
  })

  test('lets the first waiting request without blocks block those behind it', () => {
    const engine = new EngineModel(settings)
    engine.submit(loner(10, 1_000, 100), 0)
    engine.advance(1)
    const large = engine.submit(loner(11, 800, 1), 2)
    const small = engine.submit(loner(12, 16, 1), 3)
    engine.advance(50)
    assert.deepEqual([large.phase, small.phase, engine.waitingCount], ['waiting', 'waiting', 2])
    engine.advance(10_000)
    assert.ok(large.admittedMs <= small.admittedMs)
  })

  test('preempts the last request when a block is missing, and computes it again from what is still cached', () => {
    const events: string[] = []
    const engine = new EngineModel(settings, {
      onPreempted: (call) => void events.push(`preempted ${call.number}`),
      onFinished: (call) => void events.push(`finished ${call.number}`),
    })
    const first = engine.submit(loner(10, 800, 300), 0)
    const second = engine.submit(loner(11, 700, 300), 0)
    engine.advance(100_000)
    assert.deepEqual(events, ['preempted 1', 'finished 0', 'finished 1'])
    assert.equal(first.producedTokens, 300)
    assert.equal(second.producedTokens, 300)
    assert.equal(second.preemptions, 1)
    assert.ok(second.firstTokenMs < first.lastTokenMs, 'the first token came before the preemption, and only once')
    assert.ok(engine.counters.chunkTokens > 1_500, 'what it had computed is computed again')
  })

  test('preempts by priority when it schedules by priority', () => {
    const preempted: number[] = []
    const engine = new EngineModel(
      { ...settings, scheduling: 'priority' },
      { onPreempted: (call) => void preempted.push(call.number) },
    )
    engine.submit({ ...loner(10, 800, 300), priority: 5 }, 0)
    engine.submit({ ...loner(11, 700, 300), priority: 1 }, 0)
    engine.advance(100_000)
    assert.deepEqual(preempted, [0])
  })

  test('frees the blocks of a cancelled request at once, in every phase', () => {
    const engine = new EngineModel({ ...settings, frontEndMs: 5 })
    const running = engine.submit(loner(10, 1_400, 100), 0)
    engine.advance(30)
    const waiting = engine.submit(loner(11, 1_400, 100), 30)
    engine.advance(60)
    const arriving = engine.submit(loner(12, 100, 10), 60)
    assert.deepEqual([running.phase, waiting.phase, arriving.phase], ['running', 'waiting', 'arriving'])
    engine.cancel(arriving, 61)
    engine.cancel(waiting, 62)
    assert.ok(engine.cache.usedBlocks >= 88)
    engine.cancel(running, 63)
    assert.equal(engine.cache.usedBlocks, 0)
    assert.equal(engine.counters.cancelled, 3)
    engine.advance(10_000)
    assert.equal(running.producedTokens, Math.floor(running.producedTokens))
    assert.equal(engine.nextEventMs, Number.POSITIVE_INFINITY)
  })

  test('computes a long prompt in chunks beside the decodes', () => {
    const steps: number[] = []
    const engine = new EngineModel(
      { ...settings, maxBatchedTokens: 128 },
      { onStep: ({ decodes, chunkTokens }) => void steps.push(decodes, chunkTokens) },
    )
    engine.submit(loner(10, 32, 50), 0)
    engine.advance(20)
    engine.submit(loner(11, 300, 1), 20)
    engine.advance(70)
    const chunks = steps.filter((tokens, i) => i % 2 === 1 && tokens > 0)
    assert.deepEqual(chunks, [32, 127, 127, 46])
  })

  test('runs no more adapters at once than it has slots, and lets others pass the deferred', () => {
    const engine = new EngineModel({ ...settings, maxAdapters: 1, adapterLoadMs: 30 })
    const a = engine.submit({ ...loner(10, 16, 20), adapter: 0 }, 0)
    engine.advance(1)
    const b = engine.submit({ ...loner(11, 16, 1), adapter: 1 }, 2)
    const base = engine.submit(loner(12, 16, 1), 3)
    engine.advance(60)
    assert.deepEqual([a.phase, b.phase, base.phase], ['running', 'waiting', 'finished'])
    assert.equal(engine.deferredCount, 1)
    engine.advance(10_000)
    assert.equal(b.phase, 'finished')
    assert.equal(engine.counters.adapterLoads, 2)
    assert.ok(a.firstTokenMs > 30, 'the load lengthens the first step')
  })

  test('holds the blocks of a prefill until the decoding engine has them, and not longer than the hold', () => {
    const engine = new EngineModel({ ...settings, role: 'prefill', holdMs: 1_000 })
    const released = engine.submit(loner(10, 160, 100), 0)
    const expired = engine.submit(loner(11, 160, 100), 0)
    engine.advance(100)
    assert.deepEqual([released.phase, released.producedTokens, engine.cache.usedBlocks], ['held', 1, 20])
    engine.releaseHeld(released, 200)
    assert.equal(engine.cache.usedBlocks, 10)
    engine.advance(2_000)
    assert.deepEqual([expired.phase, engine.cache.usedBlocks], ['finished', 0])
  })

  test('fetches KV instead of computing it, while others run', () => {
    const engine = new EngineModel({ ...settings, role: 'decode', transferStartMs: 100, transferPerTokenUs: 100 })
    const fetched = engine.submit({ ...loner(10, 1_000, 10), remoteTokens: 1_000 }, 0)
    const other = engine.submit(loner(11, 32, 5), 1)
    engine.advance(150)
    assert.deepEqual([fetched.phase, other.phase], ['waiting', 'finished'])
    engine.advance(10_000)
    assert.equal(fetched.admittedMs, 200)
    assert.equal(engine.counters.fetchedTokens, 1_000)
    assert.equal(engine.counters.chunkTokens, 32)
  })

  test('admits who waits for blocks as soon as another request has computed them', () => {
    const engine = (observer: EngineObserver): { admittedMs: number; busyMs: number } => {
      const model = new EngineModel({ ...settings, kvBlocks: 40 }, observer)
      const answer = [{ seed: 10, tokens: 560 }]
      const blockHashes = hashSegmentBlocks(answer, 16, 0)
      model.submit({ promptTokens: 160, outputTokens: 400, blockHashes }, 0)
      model.advance(50)
      const followUp = model.submit({ promptTokens: 529, outputTokens: 1, blockHashes: blockHashes.slice(0, 33) }, 60)
      model.advance(100_000)
      return { admittedMs: followUp.admittedMs, busyMs: model.counters.busyMs }
    }
    const singly = engine({ onToken: () => undefined })
    assert.deepEqual(engine({}), singly)
    assert.ok(singly.admittedMs < singly.busyMs, 'it runs beside the request whose blocks it shares')
  })

  test('lets a request whose KV has come pass one that waits for blocks', () => {
    const engine = new EngineModel({ ...settings, role: 'decode', transferStartMs: 500 })
    const large = engine.submit(loner(10, 900, 100), 0)
    const fetched = engine.submit({ ...loner(11, 600, 10), remoteTokens: 600 }, 1)
    const blocked = engine.submit(loner(12, 1_590, 1), 2)
    engine.advance(100_000)
    for (const call of [large, fetched, blocked]) assert.equal(call.phase, 'finished')
    assert.ok(fetched.lastTokenMs < blocked.firstTokenMs)
  })

  test('gives a prompt its step no sooner than the delay after admission, beside the decodes of others', () => {
    const steps: number[] = []
    const engine = new EngineModel(
      { ...settings, promptDelayMs: 100 },
      { onStep: ({ startMs, chunkTokens }) => void (chunkTokens > 0 && steps.push(startMs)) },
    )
    const first = engine.submit(loner(10, 160, 30), 0)
    engine.advance(50)
    assert.deepEqual([first.phase, engine.cache.usedBlocks, engine.nextEventMs], ['running', 10, 100])
    const second = engine.submit(loner(11, 160, 30), 60)
    engine.advance(1_000)
    assert.deepEqual([first.admittedMs, second.admittedMs, steps[0], steps.length], [0, 60, 100, 2])
    assert.ok(steps[1]! >= 160 && steps[1]! < 170, `the second prompt's step begins at ${steps[1]}`)
    assert.ok(second.firstTokenMs < first.lastTokenMs)
  })

  test('computes nothing more for a frozen request, which keeps its place and blocks until it is cancelled', () => {
    for (const atMs of [0, 30]) {
      const engine = new EngineModel({ ...settings, maxNumSeqs: 2 })
      const frozen = engine.submit(loner(10, 160, 100), 0)
      const other = engine.submit(loner(11, 160, 10), 0)
      engine.freeze(frozen, atMs)
      const made = frozen.producedTokens
      engine.advance(10_000)
      assert.deepEqual([frozen.phase, frozen.producedTokens, other.phase], ['running', made, 'finished'])
      assert.ok(engine.cache.usedBlocks >= 10)
      assert.equal(engine.nextEventMs, Number.POSITIVE_INFINITY)
      engine.cancel(frozen, 10_001)
      assert.equal(engine.cache.usedBlocks, 0)
    }
  })

  test('clears its cache when the next step begins, and tells of the clear instead of the blocks', () => {
    const events: string[] = []
    const engine = new EngineModel(settings, {
      onCacheCleared: (atMs) => void events.push(`cleared at ${atMs}`),
      onBlockRemoved: () => void events.push('removed'),
      onBlocksStored: (_, first, count) => void events.push(`stored ${count} from ${first}`),
    })
    engine.submit(request(64, 1), 0)
    engine.advance(100)
    engine.clearCache(150)
    assert.deepEqual([engine.cache.cachedBlocks, events], [4, ['stored 4 from 0']])
    const again = engine.submit(request(64, 1), 200)
    engine.advance(300)
    assert.equal(again.cachedTokens, 0)
    assert.deepEqual(events, ['stored 4 from 0', 'cleared at 200', 'stored 4 from 0'])
  })

  test('stops after as many steps as it may do, and goes on from there', () => {
    const engine = new EngineModel(settings, { onToken: () => undefined })
    const call = engine.submit(loner(10, 160, 30), 0)
    assert.equal(engine.advance(10_000, 5), false)
    assert.deepEqual([call.producedTokens, engine.reachedMs], [5, call.lastTokenMs])
    assert.equal(engine.advance(10_000, 100), true)
    assert.deepEqual([call.producedTokens, engine.reachedMs], [30, 10_000])
  })

  test('refuses what could never run, and time that goes back', () => {
    const engine = new EngineModel(settings)
    engine.advance(10)
    assert.throws(() => engine.submit(request(1_600, 1), 10), RangeError)
    assert.throws(() => engine.submit(request(0, 1), 10), RangeError)
    assert.throws(() => engine.submit(request(16, 1), 9), RangeError)
  })
})
