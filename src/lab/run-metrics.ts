import type { EngineModel } from '#sim/model/engine-model.ts'
import type { EngineSettings } from '#sim/model/engine-settings.ts'
import { type StepCost, stepMs } from '#sim/model/step-time.ts'
import type { Placed } from './arm.ts'
import { maxOverMean, sidesOf } from './pair.ts'
import { mean, percentile } from './percentile.ts'
import { type Fairness, fairnessOf } from './tenant-metrics.ts'
import type { Arrival } from './virtual-fleet.ts'

/** Of one quantity over requests; milliseconds. */
export interface Spread {
  readonly mean: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
}

/** What a run came to, over the requests that arrived while it was measured; times are of those that ended well. */
export interface RunMetrics extends Fairness {
  /** Those that ended well. */
  readonly requests: number
  /** Those that did not: broken off after the first token, or no endpoint left to try. */
  readonly failures: number
  /** Tries after the first, over all requests. */
  readonly retries: number
  readonly ttftMs: Spread
  /** Time per output token after the first, over requests that have one. */
  readonly tpotMs: Spread
  readonly e2eMs: Spread
  /** Time between tokens, over tokens: steps with decodes in the measured time. */
  readonly itlMs: Spread
  /** Output tokens of measured requests per second, from the end of the warm-up to the last token. */
  readonly outputTokensPerSecond: number
  /** The same per second in which any measured request is under way: pauses between stages do not count. */
  readonly busyTokensPerSecond: number
  /** Requests inside the objective per second of arrivals, and as a part of all. */
  readonly goodputPerSecond: number
  readonly goodShare: number
  /** Part of the prompt tokens that was cached. */
  readonly hitRatio: number
  readonly preemptions: number
  /** Requests of the endpoint that got most, against the mean; of prefill and decode engines the less even ones. */
  readonly requestsMaxOverMean: number
  /** Requests in flight at the fullest endpoint, against the mean, likewise: its mean over arrivals. */
  readonly inFlightMaxOverMean: number
  /** Endpoints among which the requests of a group were spread: its mean over groups with more than one request. */
  readonly copiesPerPrefix: number
  /** Part of the cached prompt tokens that were reachable at placement and not used: of the best endpoint, over those chosen. */
  readonly localityGivenAway: number
  /** Prompt tokens that one infinite cache would have had to compute, over those computed: 1 is no computed twice. */
  readonly compulsoryShare: number
  /** No request could have had its first token sooner, with everything ever seen cached and an engine of its own: mean. */
  readonly leastTtftMs: number
  /** Used part of the KV blocks, and requests waiting at an engine: means over arrivals and engines. */
  readonly kvUse: number
  readonly waiting: number
}

/** Objectives (routing-algorithms.md 8): first token within 1 s and twice a cold prefill, 100 ms per token after it. */
const objective = { ttftMs: 1_000, coldPrefills: 2, tpotMs: 100 } as const

/** Gaps of half a millisecond to 10 s in steps of 2 %: enough for percentiles, and bounded. */
const leastGapMs = 0.5
const gapFactor = 1.02
const gapCount = 501

/** Times between tokens, counted by size. */
export class TokenGaps {
  readonly #counts = new Float64Array(gapCount)
  #tokens = 0
  #totalMs = 0

  add(gapMs: number, tokens: number): void {
    if (tokens === 0) return
    const index = Math.round(Math.log(Math.max(gapMs, leastGapMs) / leastGapMs) / Math.log(gapFactor))
    const bounded = Math.min(gapCount - 1, index)
    this.#counts[bounded] = (this.#counts[bounded] ?? 0) + tokens
    this.#tokens += tokens
    this.#totalMs += gapMs * tokens
  }

  spread(): Spread {
    return { mean: this.#totalMs / this.#tokens, p50: this.#at(0.5), p90: this.#at(0.9), p99: this.#at(0.99) }
  }

  #at(part: number): number {
    let seen = 0
    for (let i = 0; i < gapCount; i++) {
      seen += this.#counts[i]!
      if (seen >= part * this.#tokens && seen > 0) return leastGapMs * gapFactor ** i
    }
    return Number.NaN
  }
}

/** What of a run is not in its finished requests. */
export interface RunFrame {
  readonly engines: readonly EngineModel[]
  readonly gaps: TokenGaps
  readonly warmUpMs: number
  readonly measuredMs: number
  /** Measured requests that failed for good. */
  readonly failed: readonly Arrival[]
  readonly retries: number
  readonly localityGivenAway: number
  /** Tokens that an infinite cache would have missed, and the sum of the least possible times to first token. */
  readonly compulsoryTokens: number
  readonly leastTtftMs: number
  /** Means over arrivals. */
  readonly inFlightMaxOverMean: number
  readonly kvUse: number
  readonly waiting: number
}

/** Computes the metrics of finished requests. */
export function measure(placed: readonly Placed[], frame: RunFrame): RunMetrics {
  const calls = placed.map(({ call }) => call)
  const ttft = placed.map(({ arrival, call }) => call.firstTokenMs - arrival.atMs)
  const tpot = calls.map((call) => (call.lastTokenMs - call.firstTokenMs) / (call.producedTokens - 1))
  const settings = frame.engines[0]?.settings
  const isGood = placed.filter((each, i) => settings && meets(each, settings.cost, [ttft[i] ?? 0, tpot[i] ?? 0]))
  const endMs = calls.reduce((latest, call) => Math.max(latest, call.lastTokenMs), frame.warmUpMs)
  const sum = (value: (each: Placed) => number): number => placed.reduce((total, each) => total + value(each), 0)
  const perEndpoint = new Float64Array(frame.engines.length)
  for (const { endpoint, decodeEndpoint = endpoint } of placed) {
    perEndpoint[endpoint] = (perEndpoint[endpoint] ?? 0) + 1
    if (decodeEndpoint !== endpoint) perEndpoint[decodeEndpoint] = (perEndpoint[decodeEndpoint] ?? 0) + 1
  }
  const promptTokens = sum(({ arrival }) => arrival.request.promptTokens)
  const cachedTokens = sum(({ call }) => call.cachedTokens)
  const asked = placed.length + frame.failed.length
  return {
    requests: placed.length,
    failures: frame.failed.length,
    retries: frame.retries,
    ttftMs: spreadOf(ttft),
    tpotMs: spreadOf(tpot.filter((each) => Number.isFinite(each))),
    e2eMs: spreadOf(placed.map(({ arrival, call }) => call.lastTokenMs - arrival.atMs)),
    itlMs: frame.gaps.spread(),
    outputTokensPerSecond: (sum(({ call }) => call.producedTokens) * 1e3) / (endMs - frame.warmUpMs),
    busyTokensPerSecond: (sum(({ call }) => call.producedTokens) * 1e3) / busyMs(placed),
    goodputPerSecond: (isGood.length * 1e3) / frame.measuredMs,
    goodShare: isGood.length / asked,
    hitRatio: cachedTokens / promptTokens,
    preemptions: sum(({ call }) => call.preemptions),
    requestsMaxOverMean: maxOverMean(perEndpoint, sidesOf(frame.engines.map((each) => each.settings))),
    inFlightMaxOverMean: frame.inFlightMaxOverMean,
    copiesPerPrefix: copiesPerPrefix(placed),
    localityGivenAway: frame.localityGivenAway,
    compulsoryShare: frame.compulsoryTokens / (promptTokens - cachedTokens),
    leastTtftMs: frame.leastTtftMs / asked,
    kvUse: frame.kvUse,
    waiting: frame.waiting,
    ...fairnessOf({
      placed,
      failed: frame.failed,
      endMs: frame.warmUpMs + frame.measuredMs,
      aloneMs: (arrival) => (settings === undefined ? Number.NaN : aloneMs(settings, arrival)),
      spreadOf,
    }),
  }
}

/** Time of one request alone on an empty engine; long prompts are taken in one step. */
function aloneMs({ cost, frontEndMs }: EngineSettings, { request }: Arrival): number {
  const { promptTokens, outputTokens } = request
  const token = { decodes: 1, contextTokens: promptTokens + outputTokens / 2, chunks: 0, chunkTokens: 0, pairs: 0 }
  return frontEndMs + promptStepMs(cost, promptTokens, 0) + Math.max(0, outputTokens - 1) * stepMs(cost, token)
}

/** Time of a step that prefills a prompt alone, of which so many tokens are cached. */
export function promptStepMs(cost: StepCost, promptTokens: number, cachedTokens: number): number {
  const chunkTokens = promptTokens - cachedTokens
  const pairs = chunkTokens * (cachedTokens + chunkTokens / 2)
  return stepMs(cost, { decodes: 0, contextTokens: 0, chunks: 1, chunkTokens, pairs })
}

/** Time in which any of the requests, given in order of their arrival, is under way. */
function busyMs(placed: readonly Placed[]): number {
  let untilMs = Number.NEGATIVE_INFINITY
  let total = 0
  for (const { arrival, call } of placed) {
    total += Math.max(0, call.lastTokenMs - Math.max(arrival.atMs, untilMs))
    untilMs = Math.max(untilMs, call.lastTokenMs)
  }
  return total
}

/** Mean and percentiles. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = Float64Array.from(values)
  return {
    mean: mean(sorted),
    p50: percentile(sorted, 0.5),
    p90: percentile(sorted, 0.9),
    p99: percentile(sorted, 0.99),
  }
}

function meets({ arrival }: Placed, cost: StepCost, [ttftMs, tpotMs]: readonly [number, number]): boolean {
  const { promptTokens } = arrival.request
  const prefillMs = (cost.perTokenUs * promptTokens) / 1e3 + (cost.perPairNs * promptTokens ** 2) / 2e6
  const isSmooth = !(tpotMs > objective.tpotMs)
  return ttftMs <= objective.ttftMs + objective.coldPrefills * prefillMs && isSmooth
}

function copiesPerPrefix(placed: readonly Placed[]): number {
  const groups = new Map<number, { requests: number; readonly endpoints: Set<number> }>()
  for (const { arrival, endpoint } of placed) {
    const group = groups.get(arrival.group) ?? { requests: 0, endpoints: new Set<number>() }
    groups.set(arrival.group, group)
    group.requests++
    group.endpoints.add(endpoint)
  }
  const shared = [...groups.values()].filter(({ requests }) => requests > 1)
  return shared.reduce((sum, { endpoints }) => sum + endpoints.size, 0) / shared.length
}
