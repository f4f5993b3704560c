import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ManualClock, manualClock } from '#core/manual-clock.ts'
import { Engine, type EngineSettings, type Ticket } from './engine.ts'
import { tokenize } from './tokens.ts'

const SETTINGS: EngineSettings = { ttftMs: 50, tpotMs: 5, maxNumSeqs: 4, maxLoras: 1, kvBlocks: 100, blockSize: 4 }

interface Run {
  readonly ticket: Ticket
  /** When each token came. */
  readonly atMs: number[]
  isDone: boolean
}

function submit(
  engine: Engine,
  clock: ManualClock,
  work: { prompt?: string; tokens?: number; adapter?: string; salt?: string } = {},
): Run {
  const atMs: number[] = []
  const run: { ticket?: Ticket; atMs: number[]; isDone: boolean } = { atMs, isDone: false }
  run.ticket = engine.submit({
    promptTokens: tokenize(work.prompt ?? 'a prompt'),
    outputTokens: work.tokens ?? 3,
    endsBy: 'length',
    adapter: work.adapter,
    cacheSalt: work.salt ?? '',
    onToken: () => atMs.push(clock.nowMs()),
    onDone: () => {
      run.isDone = true
    },
  })
  return run as Run
}

function engineWith(settings: Partial<EngineSettings> = {}): { engine: Engine; clock: ManualClock } {
  const clock = manualClock(1_000)
  return { engine: new Engine({ ...SETTINGS, ...settings }, clock), clock }
}

test('makes the first token after the time to first token and the others at the pace', () => {
  const { engine, clock } = engineWith()
  const run = submit(engine, clock)
  clock.advance(200)
  assert.deepEqual(run.atMs, [1_050, 1_055, 1_060])
  assert.equal(run.isDone, true)
  assert.equal(clock.pending(), 0)
})

test('keeps the pace when a timer fires late', () => {
  const clock = manualClock(1_000)
  let lateMs = 0
  const late = { ...clock, after: (delayMs: number, fire: () => void) => clock.after(delayMs + lateMs, fire) }
  const engine = new Engine(SETTINGS, late)
  const run = submit(engine, clock, { tokens: 5 })
  clock.advance(51)
  lateMs = 12
  clock.advance(1)
  lateMs = 0
  clock.advance(100)
  assert.equal(run.atMs.at(-1), 1_070)
})

test('one timer serves many requests', () => {
  const { engine, clock } = engineWith({ maxNumSeqs: 100 })
  for (let i = 0; i < 100; i++) submit(engine, clock, { prompt: `prompt ${i}` })
  assert.equal(clock.pending(), 1)
})

test('lets at most the allowed number run and starts the rest in order of arrival', () => {
  const { engine, clock } = engineWith({ maxNumSeqs: 2 })
  const runs = [1, 2, 3, 4].map(() => submit(engine, clock))
  assert.deepEqual(
    runs.map(({ ticket }) => ticket.phase),
    ['running', 'running', 'waiting', 'waiting'],
  )
  assert.equal(engine.stats().waiting, 2)
  runs[0]?.ticket.abort()
  assert.deepEqual(
    runs.map(({ ticket }) => ticket.phase),
    ['aborted', 'running', 'running', 'waiting'],
  )
  clock.advance(1_000)
  assert.deepEqual(
    runs.map(({ isDone }) => isDone),
    [false, true, true, true],
  )
  assert.deepEqual(
    { ...engine.stats() },
    { ...engine.stats(), running: 0, waiting: 0, finished: 3, aborted: 1, usedBlocks: 0 },
  )
})

test('admits only what the KV cache can hold to its end, and admits it when room comes', () => {
  const { engine, clock } = engineWith({ kvBlocks: 10, maxNumSeqs: 100 })
  // 16 bytes of prompt are one block of four tokens; 20 output tokens are five more.
  const runs = ['a', 'b'].map((letter) => submit(engine, clock, { prompt: letter.repeat(16), tokens: 20 }))
  assert.deepEqual(
    runs.map(({ ticket }) => ticket.phase),
    ['running', 'waiting'],
  )
  clock.advance(50 + 19 * 5)
  assert.deepEqual(
    runs.map(({ ticket }) => ticket.phase),
    ['done', 'running'],
  )
  clock.advance(1_000)
  assert.equal(engine.stats().usedBlocks, 0)
})

test('uses more blocks as an answer grows', () => {
  const { engine, clock } = engineWith()
  submit(engine, clock, { prompt: 'x'.repeat(16), tokens: 9 })
  assert.equal(engine.stats().usedBlocks, 1)
  clock.advance(50)
  assert.equal(engine.stats().usedBlocks, 2)
  clock.advance(4 * 5)
  assert.equal(engine.stats().usedBlocks, 3)
})

test('finds the blocks of an equal prompt again, except the one with its last token', () => {
  const { engine, clock } = engineWith()
  const prompt = 'p'.repeat(64)
  submit(engine, clock, { prompt })
  clock.advance(1_000)
  assert.equal(submit(engine, clock, { prompt }).ticket.cachedTokens, 12)
  assert.equal(submit(engine, clock, { prompt: `${prompt}and more` }).ticket.cachedTokens, 16)
  assert.equal(submit(engine, clock, { prompt, salt: 'other' }).ticket.cachedTokens, 0)
  assert.equal(submit(engine, clock, { prompt, adapter: 'sql' }).ticket.cachedTokens, 0)
  engine.clearPrefixCache()
})

test('holds back a request whose adapter has no room and lets others pass it', () => {
  const { engine, clock } = engineWith()
  const runs = ['sql', 'chat', undefined, 'sql'].map((adapter) =>
    submit(engine, clock, adapter === undefined ? {} : { adapter }),
  )
  assert.deepEqual(
    runs.map(({ ticket }) => ticket.phase),
    ['running', 'waiting', 'running', 'running'],
  )
  assert.deepEqual([engine.stats().waiting, engine.stats().deferred], [1, 1])
  assert.deepEqual(engine.activeAdapters(), [])
  clock.advance(50)
  assert.deepEqual(engine.activeAdapters(), ['sql'])
  clock.advance(10)
  assert.equal(runs[1]?.ticket.phase, 'running')
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
  running.ticket.abort()
  clock.advance(1_000)
  assert.deepEqual([waiting.atMs.length, waiting.ticket.phase], [0, 'running'])
})

test('work without output tokens is done after the prompt is read', () => {
  const { engine, clock } = engineWith()
  const run = submit(engine, clock, { tokens: 0 })
  clock.advance(49)
  assert.equal(run.isDone, false)
  clock.advance(1)
  assert.equal(run.isDone, true)
  assert.deepEqual(run.atMs, [])
})

test('tells its observers of admissions, tokens, steps and ends', () => {
  const { engine, clock } = engineWith()
  const seen: string[] = []
  engine.observe({
    onAdmitted: ({ work }) => seen.push(`admitted ${work.promptTokens.length}`),
    onToken: ({ produced }, gapMs) => seen.push(`token ${produced} after ${gapMs}`),
    onFinished: ({ produced }) => seen.push(`finished ${produced}`),
    onStep: (tokens) => seen.push(`step ${tokens}`),
  })
  submit(engine, clock, { tokens: 2 })
  clock.advance(100)
  assert.deepEqual(seen, ['admitted 2', 'token 1 after 50', 'step 3', 'token 2 after 5', 'finished 2', 'step 1'])
})

test('a token time of zero still lets other work in between', () => {
  const { engine, clock } = engineWith({ tpotMs: 0, kvBlocks: 1_000 })
  let most = 0
  let tokens = 0
  engine.observe({
    onAdmitted: () => {},
    onToken: () => tokens++,
    onFinished: () => {},
    onStep: (handled) => {
      most = Math.max(most, handled)
    },
  })
  const run = submit(engine, clock, { tokens: 500 })
  clock.advance(60)
  assert.equal(run.isDone, true)
  assert.equal(tokens, 500)
  assert.ok(most < 100, `one step made ${most} tokens`)
})
