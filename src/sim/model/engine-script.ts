/** Random but reproducible work for an engine, and what must hold after each piece of it; for tests of the model. */
import assert from 'node:assert/strict'
import { type Rng, seededRng } from '#core/clock.ts'
import { hashSegmentBlocks, type Segment } from './block-hash.ts'
import type { EngineModel } from './engine-model.ts'
import type { EngineObserver } from './engine-observer.ts'
import type { EngineCall, EngineRequest, Seat } from './engine-request.ts'
import { type EngineRole, type EngineSettings, engineSettings } from './engine-settings.ts'

/** One call of the driver. `index` counts the submitted requests. */
export type Action =
  | { readonly kind: 'submit'; readonly atMs: number; readonly request: EngineRequest }
  | { readonly kind: 'cancel' | 'release'; readonly atMs: number; readonly index: number }
  | { readonly kind: 'advance' | 'clear' | 'crash'; readonly atMs: number }
  | { readonly kind: 'pace'; readonly atMs: number; readonly factor: number }
  | { readonly kind: 'stall'; readonly atMs: number; readonly untilMs: number }

export interface Script {
  readonly settings: EngineSettings
  readonly actions: readonly Action[]
}

function pick<T>(rng: Rng, items: readonly T[]): T {
  return items[Math.floor(rng() * items.length)]!
}

function below(rng: Rng, bound: number): number {
  return Math.floor(rng() * bound)
}

function randomSettings(rng: Rng): EngineSettings {
  return engineSettings('llama-8b-h100', {
    kvBlocks: 24 + below(rng, 60),
    blockSize: pick(rng, [1, 4, 16]),
    maxNumSeqs: pick(rng, [1, 3, 8, 64]),
    maxBatchedTokens: pick(rng, [7, 64, 512]),
    scheduling: pick(rng, ['fcfs', 'priority']),
    frontEndMs: pick(rng, [0, 1, 9]),
    maxAdapters: pick(rng, [1, 2]),
    role: pick<EngineRole>(rng, ['both', 'both', 'decode', 'prefill']),
    holdMs: pick(rng, [5, 200]),
    promptDelayMs: pick(rng, [0, 0, 25]),
  })
}

/** Prompts that share beginnings and sometimes go on where the answer of another ended. */
function randomRequest(rng: Rng, settings: EngineSettings, past: Segment[][]): EngineRequest {
  const most = settings.kvBlocks * settings.blockSize
  const isFollowUp = past.length > 0 && rng() < 0.3
  const head = isFollowUp ? pick(rng, past) : [{ seed: below(rng, 3), tokens: 1 + below(rng, most >> 2) }]
  const headTokens = head.reduce((sum, { tokens }) => sum + tokens, 0)
  const question = { seed: 100 + below(rng, 5), tokens: Math.min(1 + below(rng, most >> 3), most - headTokens - 1) }
  const segments = question.tokens > 0 ? [...head, question] : [...head]
  const promptTokens = segments.reduce((sum, { tokens }) => sum + tokens, 0)
  const outputTokens = below(rng, Math.min(120, Math.max(1, most - promptTokens)) + 1)
  const whole = outputTokens > 0 ? [...segments, { seed: 1000 + below(rng, 4), tokens: outputTokens }] : segments
  if (promptTokens + outputTokens < most * 0.7) past.push(whole)
  const adapter = rng() < 0.3 ? below(rng, 3) : -1
  const blockHashes = hashSegmentBlocks(whole, settings.blockSize, adapter + 1)
  return {
    promptTokens,
    outputTokens: Math.min(outputTokens, most - promptTokens),
    blockHashes: rng() < 0.1 ? blockHashes.subarray(0, 0) : blockHashes,
    priority: below(rng, 3),
    adapter,
    remoteTokens: settings.role === 'decode' && rng() < 0.7 ? below(rng, promptTokens + 1) : 0,
    holdsBlocks: rng() < 0.05,
  }
}

/** The same seed gives the same script. */
export function randomScript(seed: number, length: number): Script {
  const rng = seededRng(seed)
  const settings = randomSettings(rng)
  const past: Segment[][] = []
  const actions: Action[] = []
  const meanGapMs = pick(rng, [2, 20, 100])
  let atMs = 0
  let submitted = 0
  for (let i = 0; i < length; i++) {
    atMs += rng() < 0.2 ? 0 : rng() * 2 * meanGapMs
    const draw = rng()
    if (draw < 0.7 || submitted === 0) {
      actions.push({ kind: 'submit', atMs, request: randomRequest(rng, settings, past) })
      submitted++
    } else if (draw < 0.8) actions.push({ kind: 'cancel', atMs, index: below(rng, submitted) })
    else if (draw < 0.88) actions.push({ kind: 'release', atMs, index: below(rng, submitted) })
    else if (draw < 0.94) actions.push({ kind: 'advance', atMs })
    else if (draw < 0.955) actions.push({ kind: 'clear', atMs })
    else if (draw < 0.97) actions.push({ kind: 'pace', atMs, factor: pick(rng, [0.3, 1, 3]) })
    else if (draw < 0.985) actions.push({ kind: 'stall', atMs, untilMs: atMs + rng() * 5 * meanGapMs })
    else actions.push({ kind: 'crash', atMs })
  }
  return { settings, actions }
}

/** An observer that writes everything but single tokens into a list of lines. */
export function logTo(lines: string[]): EngineObserver {
  const call =
    (what: string) =>
    ({ number, producedTokens, phase }: EngineCall, atMs: number): void =>
      void lines.push(`${atMs} ${what} ${number} ${producedTokens} ${phase}`)
  return {
    onAdmitted: call('admitted'),
    onFirstToken: call('first'),
    onFinished: call('finished'),
    onPreempted: call('preempted'),
    onStep: (step) => void lines.push(JSON.stringify(step)),
    onBlocksStored: (seat, first, count, atMs) => void lines.push(`${atMs} stored ${seat.number} ${first} ${count}`),
    onBlockRemoved: (hash, atMs) => void lines.push(`${atMs} removed ${hash}`),
  }
}

/** Applies one action; `calls` are those submitted so far. */
export function apply(engine: EngineModel, action: Action, calls: EngineCall[]): void {
  if (action.kind === 'submit') calls.push(engine.submit(action.request, action.atMs))
  else if (action.kind === 'cancel') engine.cancel(calls[action.index]!, action.atMs)
  else if (action.kind === 'release') engine.releaseHeld(calls[action.index]!, action.atMs)
  else if (action.kind === 'advance') engine.advance(action.atMs)
  else if (action.kind === 'pace') engine.setPace(action.factor, action.atMs)
  else if (action.kind === 'stall') engine.stall(action.untilMs, action.atMs)
  else if (action.kind === 'crash') engine.crash(action.atMs)
  else engine.clearCache(action.atMs)
}

/** Asserts that no block, request or token is lost or invented, whatever has happened. */
export function assertConserved(engine: EngineModel, calls: readonly EngineCall[]): void {
  const { cache, counters } = engine
  const seats = engine.calls() as readonly Seat[]
  assert.equal(cache.usedBlocks + cache.cachedBlocks + cache.freeBlocks, cache.totalBlocks, 'every block has one state')
  const holders = new Int32Array(cache.totalBlocks)
  for (const seat of seats) for (let i = 0; i < seat.blockCount; i++) holders[seat.blocks[i]!]!++
  let used = 0
  for (let block = 0; block < holders.length; block++) {
    assert.equal(cache.referencesOf(block), holders[block], `holders of block ${block}`)
    if (holders[block]! > 0) used++
  }
  assert.equal(cache.usedBlocks, used, 'used blocks are those that are held')
  const live = seats.filter(({ phase }) => phase === 'arriving' || phase === 'waiting' || phase === 'running')
  assert.equal(counters.submitted, counters.finished + counters.cancelled + live.length, 'every request is somewhere')
  const sum = (value: (call: EngineCall) => number): number => calls.reduce((total, call) => total + value(call), 0)
  assert.equal(
    counters.generatedTokens,
    sum(({ producedTokens }) => producedTokens),
    'every token belongs to a request',
  )
  assert.equal(
    counters.cachedTokens,
    sum(({ cachedTokens }) => cachedTokens),
    'every hit belongs to a request',
  )
  for (const seat of seats) assertSeat(engine.settings, seat)
}

function assertSeat({ blockSize }: EngineSettings, seat: Seat): void {
  const { known, computed, blockCount, producedTokens, request } = seat
  assert.equal(known, request.promptTokens + producedTokens, 'what is known is the prompt and the output')
  assert.ok(computed <= known && producedTokens <= request.outputTokens)
  assert.ok(blockCount * blockSize >= computed + seat.scheduled, 'what is computed has blocks')
  if (seat.phase === 'arriving') assert.equal(blockCount, 0)
}
