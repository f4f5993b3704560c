import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ManualClock, manualClock } from '#core/manual-clock.ts'
import { AdapterTable } from './adapter-table.ts'
import type { StoredBlocks } from './kv-event-sink.ts'
import { LiveEngine } from './live-engine.ts'
import type { Ticket, Work } from './live-ticket.ts'
import { resolveSimOptions, type SimOptions } from './options.ts'
import { tokenize } from './tokens.ts'

const OPTIONS: SimOptions = { ttftMs: 50, tpotMs: 5, maxNumSeqs: 4, maxLoras: 1, kvBlocks: 100, blockSize: 4 }

interface Run {
  readonly ticket: Ticket
  /** When the tokens came, by the clock; a list for each time they were told. */
  readonly atMs: number[]
  readonly counts: number[]
  isDone: boolean
}

interface Asked extends Partial<Omit<Work, 'promptTokens' | 'outputTokens' | 'onDone' | 'onTokens'>> {
  readonly prompt?: string
  readonly tokens?: number
}

function submit(engine: LiveEngine, clock: ManualClock, asked: Asked = {}): Run {
  const { prompt = 'a prompt', tokens = 3, ...more } = asked
  const atMs: number[] = []
  const counts: number[] = []
  const run: { ticket?: Ticket; atMs: number[]; counts: number[]; isDone: boolean } = { atMs, counts, isDone: false }
  run.ticket = engine.submit({
    promptTokens: tokenize(prompt),
    outputTokens: tokens,
    endsBy: 'length',
    adapter: undefined,
    cacheSalt: '',
    ...more,
    onTokens: (first, count) => {
      assert.equal(
        first,
        counts.reduce((sum, each) => sum + each, 0),
      )
      atMs.push(clock.nowMs())
      counts.push(count)
    },
    onDone: () => {
      run.isDone = true
    },
  })
  return run as Run
}

function engineWith(options: SimOptions = {}, clock = manualClock(1_000)): { engine: LiveEngine; clock: ManualClock } {
  const { live } = resolveSimOptions({ ...OPTIONS, ...options })
  return { engine: new LiveEngine(live, clock, new AdapterTable(['sql', 'chat'])), clock }
}

/** Fires timers late by what `lateMs` says at the time they are set. */
function lateClock(clock: ManualClock, lateMs: () => number): ManualClock {
  return { ...clock, after: (delayMs, fire) => clock.after(delayMs + lateMs(), fire) }
}

test('makes the first token after the time to first token and the others at the pace', () => {
  const { engine, clock } = engineWith()
  const run = submit(engine, clock)
  clock.advance(200)
  assert.deepEqual(run.atMs, [1_050, 1_055, 1_060])
  assert.equal(run.isDone, true)
  assert.equal(clock.pending(), 0)
})

test('keeps the pace when timers fire late', () => {
  const clock = manualClock(1_000)
  let lateMs = 0
  const { engine } = engineWith(
    {},
    lateClock(clock, () => lateMs),
  )
  const run = submit(engine, clock, { tokens: 5 })
  clock.advance(51)
  lateMs = 12
  clock.advance(6)
  lateMs = 0
  clock.advance(100)
  assert.equal(run.atMs.at(-1), 1_072)
  assert.equal(run.ticket.lastTokenMs, 70)
  assert.deepEqual(run.counts, [1, 1, 1, 1, 1])
})

test('runs faster than the clock when told to, in a time of its own', () => {
  const { engine, clock } = engineWith({ timeFactor: 10 })
  const run = submit(engine, clock)
  clock.advance(20)
  assert.deepEqual(run.atMs, [1_005, 1_005.5, 1_006])
  assert.deepEqual([run.ticket.firstTokenMs, run.ticket.lastTokenMs, engine.nowMs()], [50, 60, 200])
})

test('one timer serves many requests', () => {
  const { engine, clock } = engineWith({ maxNumSeqs: 100 })
  for (let i = 0; i < 100; i++) submit(engine, clock, { prompt: `prompt ${i}` })
  clock.advance(20)
  assert.equal(clock.pending(), 1)
})

test('lets at most the allowed number run and starts the rest in order of arrival', () => {
  const { engine, clock } = engineWith({ maxNumSeqs: 2 })
  const runs = [1, 2, 3, 4].map(() => submit(engine, clock))
  clock.advance(0)
  const phases = () => runs.map(({ ticket }) => ticket.phase)
  assert.deepEqual(phases(), ['running', 'running', 'waiting', 'waiting'])
  assert.deepEqual([engine.stats().waiting, engine.openCount], [2, 4])
  runs[0]?.ticket.abort()
  clock.advance(0)
  assert.deepEqual(phases(), ['aborted', 'running', 'running', 'waiting'])
  clock.advance(1_000)
  assert.deepEqual(
    runs.map(({ isDone }) => isDone),
    [false, true, true, true],
  )
  const { running, waiting, finished, aborted, usedBlocks } = engine.stats()
  assert.deepEqual([running, waiting, finished, aborted, usedBlocks, engine.openCount], [0, 0, 3, 1, 0, 0])
})

test('lower priorities go first when it schedules by priority', () => {
  for (const scheduling of ['fcfs', 'priority'] as const) {
    const { engine, clock } = engineWith({ maxNumSeqs: 1, scheduling })
    const runs = [0, 5, 1].map((priority) => submit(engine, clock, { priority }))
    clock.advance(1_000)
    const [, second, third] = runs.map(({ atMs }) => atMs[0] ?? 0)
    assert.equal(second! < third!, scheduling === 'fcfs')
  }
})

test('uses more blocks as an answer grows', () => {
  const { engine, clock } = engineWith()
  submit(engine, clock, { prompt: 'x'.repeat(16), tokens: 9 })
  const used: number[] = []
  for (const byMs of [1, 49, 5, 20]) {
    clock.advance(byMs)
    used.push(engine.stats().usedBlocks)
  }
  assert.deepEqual(used, [1, 2, 2, 3])
})

test('finds the blocks of an equal prompt again, except the one with its last token', () => {
  const { engine, clock } = engineWith()
  const prompt = 'p'.repeat(64)
  const cachedAfter = (asked: Asked): number => {
    const { ticket } = submit(engine, clock, asked)
    clock.advance(1_000)
    return ticket.cachedTokens
  }
  assert.equal(cachedAfter({ prompt }), 0)
  assert.equal(cachedAfter({ prompt }), 12)
  assert.equal(cachedAfter({ prompt: `${prompt}and more` }), 16)
  assert.equal(cachedAfter({ prompt, cacheSalt: 'other' }), 0)
  assert.equal(cachedAfter({ prompt, adapter: 'sql' }), 0)
  assert.equal(cachedAfter({ prompt, adapter: 'sql' }), 12)
  engine.clearPrefixCache()
  assert.equal(cachedAfter({ prompt }), 0)
})

test('finds prompt and answer of the turn before, where the output has ids', () => {
  const { engine, clock } = engineWith()
  const prompt = 'p'.repeat(32)
  submit(engine, clock, { prompt, tokens: 9, outputIds: tokenize('answ'.repeat(9)) })
  clock.advance(1_000)
  const next = submit(engine, clock, { prompt: `${prompt}${'answ'.repeat(9)}and a further question` })
  clock.advance(1_000)
  assert.equal(next.ticket.cachedTokens, 16)
})

test('holds back a request whose adapter has no room and lets others pass it', () => {
  const { engine, clock } = engineWith()
  const runs = ['sql', 'chat', undefined, 'sql'].map((adapter) => submit(engine, clock, { adapter }))
  clock.advance(1)
  assert.deepEqual(
    runs.map(({ ticket }) => ticket.phase),
    ['running', 'waiting', 'running', 'running'],
  )
  assert.deepEqual([engine.stats().waiting, engine.stats().deferred], [1, 1])
  assert.deepEqual(engine.activeAdapters(), [])
  clock.advance(50)
  assert.deepEqual(engine.activeAdapters(), ['sql'])
  clock.advance(15)
  assert.equal(runs[1]?.ticket.phase, 'running')
  assert.deepEqual(engine.activeAdapters(), [])
})

test('an abort frees everything at once in every phase and stops all callbacks', () => {
  for (const beforeMs of [0, 20, 52]) {
    const { engine, clock } = engineWith({ maxNumSeqs: 1 })
    const first = submit(engine, clock)
    const second = submit(engine, clock)
    clock.advance(beforeMs)
    const tokens = first.atMs.length
    second.ticket.abort()
    first.ticket.abort()
    first.ticket.abort()
    const { running, waiting, aborted, usedBlocks } = engine.stats()
    assert.deepEqual({ running, waiting, aborted, usedBlocks }, { running: 0, waiting: 0, aborted: 2, usedBlocks: 0 })
    clock.advance(1_000)
    assert.equal(first.atMs.length, tokens)
    assert.equal(first.isDone || second.isDone, false)
    assert.equal(clock.pending(), 0)
  }
})

test('a frozen request keeps its place and makes no token', () => {
  const { engine, clock } = engineWith({ maxNumSeqs: 1 })
  const running = submit(engine, clock)
  const waiting = submit(engine, clock)
  waiting.ticket.freeze()
  clock.advance(51)
  running.ticket.freeze()
  clock.advance(1_000)
  assert.deepEqual([running.atMs.length, running.ticket.phase, waiting.ticket.phase], [1, 'running', 'waiting'])
  assert.ok(engine.stats().usedBlocks > 0)
  running.ticket.abort()
  clock.advance(1_000)
  assert.deepEqual([waiting.atMs.length, waiting.ticket.phase], [0, 'running'])
  engine.close()
  assert.deepEqual([engine.stats().usedBlocks, clock.pending()], [0, 0])
})

test('a request that comes frozen takes its place and its blocks', () => {
  const { engine, clock } = engineWith({ maxNumSeqs: 1 })
  const run = submit(engine, clock, { isFrozen: true })
  clock.advance(1_000)
  assert.deepEqual([run.atMs.length, run.ticket.phase, engine.stats().usedBlocks], [0, 'running', 1])
  engine.close()
})

test('whoever is told of a token may freeze or abort at once, also when more tokens are due', () => {
  for (const what of ['freeze', 'abort'] as const) {
    const clock = manualClock()
    const { engine } = engineWith(
      {},
      lateClock(clock, () => 100),
    )
    let told = 0
    const ticket = engine.submit({
      promptTokens: tokenize('x'),
      outputTokens: 10,
      endsBy: 'length',
      adapter: undefined,
      cacheSalt: '',
      onTokens: (_, count) => {
        told += count
        if (told === 3) ticket[what]()
      },
      onDone: () => assert.fail('it has no end'),
    })
    clock.advance(10_000)
    assert.equal(told, 3)
    assert.equal(engine.stats().running, what === 'freeze' ? 1 : 0)
    engine.close()
  }
})

test('work without output tokens is done after the prompt is read', () => {
  const { engine, clock } = engineWith()
  const run = submit(engine, clock, { tokens: 0 })
  clock.advance(49)
  assert.equal(run.isDone, false)
  clock.advance(1)
  assert.equal(run.isDone, true)
  assert.deepEqual(run.atMs, [])
  assert.deepEqual([run.ticket.firstTokenMs, run.ticket.lastTokenMs], [50, 50])
})

test('tells its observers of admissions, tokens, ends and steps', () => {
  const { engine, clock } = engineWith()
  const seen: string[] = []
  engine.observe({
    onAdmitted: ({ work }) => seen.push(`admitted ${work.promptTokens.length}`),
    onToken: ({ produced }, gapMs) => seen.push(`token ${produced} after ${gapMs}`),
    onFinished: ({ produced }) => seen.push(`finished ${produced}`),
    onStep: (tokens, rank) => seen.push(`step ${tokens} of rank ${rank}`),
  })
  submit(engine, clock, { tokens: 2 })
  clock.advance(100)
  const steps = ['token 1 after 50', 'step 2 of rank 0', 'token 2 after 5', 'finished 2', 'step 1 of rank 0']
  assert.deepEqual(seen, ['admitted 2', ...steps])
})

test('a token time of zero still lets other work in between', () => {
  const clock = manualClock()
  let turns = 0
  const counted = {
    ...clock,
    after: (delayMs: number, fire: () => void) => {
      turns++
      return clock.after(delayMs, fire)
    },
  }
  const { engine } = engineWith({ ttftMs: 0, tpotMs: 0, kvBlocks: 2_000 }, counted)
  const run = submit(engine, clock, { tokens: 5_000 })
  clock.advance(0)
  assert.equal(run.isDone, true)
  assert.equal(run.counts.length, 5_000)
  assert.ok(turns >= 10, `${turns} turns`)
})

test('tokens come together as the settings say, the first one always alone', () => {
  const cases = [
    { name: 'as made', options: {}, lateMs: 0, counts: [1, 1, 1, 1, 1, 1, 1] },
    { name: 'late, one by one', options: {}, lateMs: 12, counts: [1, 1, 1, 1, 1, 1, 1] },
    { name: 'late, merged', options: { mergesTokens: true }, lateMs: 12, counts: [1, 1, 3, 2] },
    { name: 'in threes', options: { streamInterval: 3 }, lateMs: 0, counts: [1, 3, 3] },
    { name: 'in fours', options: { streamInterval: 4 }, lateMs: 0, counts: [1, 4, 2] },
    {
      name: 'one by one for who asks',
      options: { streamInterval: 4 },
      isPerToken: true,
      counts: [1, 1, 1, 1, 1, 1, 1],
    },
  ]
  for (const { name, options, lateMs = 0, isPerToken = false, counts } of cases) {
    const clock = manualClock()
    const { engine } = engineWith(
      options,
      lateClock(clock, () => (engine.stats().running > 0 ? lateMs : 0)),
    )
    const run = submit(engine, clock, { tokens: 7, isPerToken })
    clock.advance(1_000)
    assert.deepEqual([run.isDone, run.counts], [true, counts], name)
    assert.equal(run.ticket.produced, 7)
  }
})

test('ranks have queues of their own, and a request may name its rank', () => {
  const { engine, clock } = engineWith({ ranks: 2, maxNumSeqs: 1 })
  const runs = [1, 1, undefined].map((rank) => submit(engine, clock, rank === undefined ? {} : { rank }))
  clock.advance(1)
  assert.deepEqual(
    runs.map(({ ticket }) => ticket.rank),
    [1, 1, 0],
  )
  const numbers = engine.rankStats().map(({ running, waiting }) => [running, waiting])
  assert.deepEqual(numbers, [
    [1, 0],
    [1, 1],
  ])
  assert.deepEqual([engine.stats().running, engine.stats().waiting], [2, 1])
  assert.throws(() => submit(engine, clock, { rank: 2 }), RangeError)
  engine.close()
})

test('a sink hears of blocks with their tokens, of the clear with the next step, and of steps', () => {
  const { engine, clock } = engineWith()
  const heard: unknown[] = []
  engine.publishTo({
    stored: (blocks) => heard.push(blocks),
    removed: (rank, hash) => heard.push(['removed', rank, hash]),
    cleared: (rank) => heard.push(['cleared', rank]),
    stepEnd: (rank, atEpochMs) => heard.push(['step', rank, atEpochMs]),
  })
  const asked = { prompt: 'p'.repeat(40), tokens: 8, outputIds: tokenize('answ'.repeat(8)), adapter: 'chat' }
  submit(engine, clock, { ...asked, cacheSalt: 'salt' })
  clock.advance(200)
  const stored = heard.filter((each): each is StoredBlocks => !Array.isArray(each))
  assert.deepEqual(
    stored.map(({ firstBlock, hashes }) => [firstBlock, hashes.length]),
    [
      [0, 2],
      [2, 1],
      [3, 1],
    ],
  )
  const [first, second] = stored
  assert.equal(first?.parentHash, undefined)
  assert.equal(second?.parentHash, first?.hashes[1])
  assert.deepEqual(second?.tokenIds, tokenize(`${'p'.repeat(8)}answansw`))
  assert.deepEqual([first?.adapter, first?.adapterId, first?.cacheSalt, first?.rank], ['chat', 2, 'salt', 0])
  const steps = heard.filter((each) => Array.isArray(each))
  assert.deepEqual(steps[0], ['step', 0, 1_050])
  heard.length = 0
  engine.clearPrefixCache()
  clock.advance(100)
  assert.deepEqual(heard, [])
  submit(engine, clock, { prompt: 'q'.repeat(16), tokens: 1 })
  clock.advance(100)
  assert.deepEqual(
    heard.map((each) => (Array.isArray(each) ? String(each[0]) : 'stored')),
    ['cleared', 'stored', 'step'],
  )
})

test('who throws when told costs nobody else a token', () => {
  const { engine, clock } = engineWith()
  const work = {
    promptTokens: tokenize('x'),
    outputTokens: 1,
    endsBy: 'length',
    adapter: undefined,
    cacheSalt: '',
  } as const
  engine.submit({
    ...work,
    onDone: () => {
      throw new Error('told')
    },
  })
  const other = submit(engine, clock, { tokens: 1 })
  assert.throws(() => clock.advance(100), /told/)
  clock.advance(100)
  assert.ok(other.isDone)
})
