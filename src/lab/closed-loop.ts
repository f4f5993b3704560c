import { type Rng, seededRng } from '#core/clock.ts'
import { hashSegmentBlocks } from '#sim/model/block-hash.ts'
import { EngineModel } from '#sim/model/engine-model.ts'
import type { EngineCall, EngineRequest } from '#sim/model/engine-request.ts'
import type { EngineSettings } from '#sim/model/engine-settings.ts'
import { percentile } from './percentile.ts'

/** Tokens of a request that shares nothing with others. */
export interface Lengths {
  readonly promptTokens: number
  readonly outputTokens: number
}

/** Requests that keep a number of places at one engine filled. */
export interface ClosedLoop {
  readonly settings: EngineSettings
  readonly requests: readonly Lengths[]
  readonly concurrency: number
  /** What the front end takes to stream one token, one after the other (model-servers.md 6.3: about 0.05 ms); 0 without it. */
  readonly streamTokenMs?: number
}

export interface ClosedLoopResult {
  readonly outputTokensPerSecond: number
  readonly ttftP50Ms: number
  /** Time per output token after the first, over requests. */
  readonly tpotP50Ms: number
  readonly tpotMeanMs: number
  /** Time between tokens, over tokens. */
  readonly itlP50Ms: number
}

/** Streams the tokens of an engine's steps, one after the other, while the engine goes on. */
class TokenStream {
  readonly #tokenMs: number
  /** When what the engine has made so far is out. */
  freeMs = 0

  constructor(tokenMs: number) {
    this.#tokenMs = tokenMs
  }

  /** So many tokens have been made at a time; returns when they are out. */
  send(tokens: number, atMs: number): number {
    this.freeMs = Math.max(this.freeMs, atMs) + tokens * this.#tokenMs
    return this.freeMs
  }
}

/** Runs a closed loop to its end: whenever a request ends, the next one comes. */
export function runClosedLoop({ settings, requests, concurrency, streamTokenMs = 0 }: ClosedLoop): ClosedLoopResult {
  const calls: EngineCall[] = []
  const gaps: { readonly ms: number; readonly tokens: number }[] = []
  const stream = new TokenStream(streamTokenMs)
  /** When first and last tokens are out, by the number of the call. */
  const firstMs: number[] = []
  /** When the tokens of the last step were out. */
  let outMs = 0
  const lastMs: number[] = []
  const submitNext = (atMs: number): void => {
    const lengths = requests[calls.length]
    if (lengths !== undefined) calls.push(engine.submit(loneRequest(calls.length, lengths, settings.blockSize), atMs))
  }
  const engine = new EngineModel(settings, {
    onFirstToken: ({ number }, atMs) => void (firstMs[number] = stream.send(1, atMs)),
    onFinished({ number }, atMs) {
      lastMs[number] = Math.max(stream.freeMs, atMs)
      submitNext(atMs)
    },
    onStep({ startMs, endMs, decodes }) {
      const beforeMs = Math.max(startMs, outMs)
      outMs = stream.send(decodes, endMs)
      gaps.push({ ms: outMs - beforeMs, tokens: decodes })
    },
  })
  for (let i = 0; i < concurrency; i++) submitNext(0)
  engine.advance(Number.POSITIVE_INFINITY)
  const ttft = Float64Array.from(calls, ({ number, arrivedMs }) => (firstMs[number] ?? Number.NaN) - arrivedMs)
  const tpot = Float64Array.from(
    calls.filter(({ producedTokens }) => producedTokens > 1),
    ({ number, producedTokens }) => ((lastMs[number] ?? 0) - (firstMs[number] ?? 0)) / (producedTokens - 1),
  )
  const endMs = lastMs.reduce((latest, each) => Math.max(latest, each), stream.freeMs)
  return {
    outputTokensPerSecond: (engine.counters.generatedTokens * 1e3) / endMs,
    ttftP50Ms: percentile(ttft, 0.5),
    tpotP50Ms: percentile(tpot, 0.5),
    tpotMeanMs: tpot.reduce((sum, each) => sum + each, 0) / tpot.length,
    itlP50Ms: weightedMedian(gaps),
  }
}

function loneRequest(number: number, { promptTokens, outputTokens }: Lengths, blockSize: number): EngineRequest {
  const segments = [{ seed: number, tokens: promptTokens + outputTokens }]
  return { promptTokens, outputTokens, blockHashes: hashSegmentBlocks(segments, blockSize, 0) }
}

function weightedMedian(gaps: { readonly ms: number; readonly tokens: number }[]): number {
  const half = gaps.reduce((sum, { tokens }) => sum + tokens, 0) / 2
  let seen = 0
  for (const { ms, tokens } of gaps.toSorted((a, b) => a.ms - b.ms)) {
    seen += tokens
    if (seen >= half) return ms
  }
  return Number.NaN
}

/** Requests of equal size. */
export function equalLengths(count: number, lengths: Lengths): readonly Lengths[] {
  return Array.from({ length: count }, () => lengths)
}

/** Requests with log-normal lengths of the given means; the spread (1 in the logarithm) is about that of ShareGPT. */
export function chatLengths(count: number, means: Lengths, seed: number): readonly Lengths[] {
  const rng = seededRng(seed)
  return Array.from({ length: count }, () => ({
    promptTokens: logNormal(rng, means.promptTokens),
    outputTokens: logNormal(rng, means.outputTokens),
  }))
}

function logNormal(rng: Rng, mean: number): number {
  const normal = Math.sqrt(-2 * Math.log(1 - rng())) * Math.cos(2 * Math.PI * rng())
  return Math.max(1, Math.min(2_000, Math.round(mean * Math.exp(normal - 0.5))))
}
