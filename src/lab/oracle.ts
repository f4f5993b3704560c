import type { EngineModel } from '#sim/model/engine-model.ts'
import type { Seat } from '#sim/model/engine-request.ts'
import type { StepCost } from '#sim/model/step-time.ts'
import type { ArmDefinition } from './arm.ts'
import { cachedBlocks } from './placements.ts'
import type { RunMetrics } from './run-metrics.ts'
import type { Placement } from './virtual-fleet.ts'

/** What computing `tokens` of a prompt behind `present` ones adds to an engine's work, in milliseconds. */
function promptMs(cost: StepCost, tokens: number, present: number): number {
  return (cost.perTokenUs * tokens) / 1e3 + (cost.perPairNs * tokens * (present + tokens / 2)) / 1e6
}

/** What so many output tokens behind a context add to the steps they are part of. */
function outputMs(cost: StepCost, tokens: number, context: number): number {
  const perTokenMs = (cost.perTokenUs + cost.perSequenceUs) / 1e3
  return tokens * (perTokenMs + (cost.perContextTokenNs * (context + tokens / 2)) / 1e6)
}

/** Tokens of a prompt that its engine could share with what is cached now. */
function cachedTokens(engine: EngineModel, { promptTokens, blockHashes }: Seat['request']): number {
  const { blockSize } = engine.settings
  return cachedBlocks(engine, blockHashes, Math.floor((promptTokens - 1) / blockSize)) * blockSize
}

/**
 * Work that the requests at an engine still are, whose outputs' lengths are known; in milliseconds of its own steps. What is
 * cached of a request that waits is looked up once and kept in `found`.
 */
function remainingWorkMs(engine: EngineModel, found: WeakMap<Seat, number>): number {
  const { cost } = engine.settings
  let total = 0
  for (const seat of engine.calls() as readonly Seat[]) {
    if (seat.phase === 'held') continue
    const computed = seat.phase === 'running' ? seat.computed : foundFor(engine, seat, found)
    const missing = seat.known - computed
    total += (missing > 1 ? promptMs(cost, missing, computed) : 0) + requestOutputMs(cost, seat)
  }
  return total
}

function foundFor(engine: EngineModel, seat: Seat, found: WeakMap<Seat, number>): number {
  const tokens = found.get(seat) ?? cachedTokens(engine, seat.request)
  found.set(seat, tokens)
  return tokens
}

function requestOutputMs(cost: StepCost, { known, outputTokens, producedTokens }: Seat): number {
  return outputMs(cost, outputTokens - producedTokens, known)
}

/** The engine with the least work once it has the request; among equals the one with the fewest requests. */
function leastWork(): Placement {
  const found = new WeakMap<Seat, number>()
  return (arrival, fleet) => {
    const { request } = arrival
    let best = -1
    let bestMs = Number.POSITIVE_INFINITY
    for (let i = 0; i < fleet.engines.length; i++) {
      const engine = fleet.engines[i]!
      if (!fleet.mayPlace(i, arrival)) continue
      const { cost } = engine.settings
      const cached = cachedTokens(engine, request)
      const ownMs =
        promptMs(cost, request.promptTokens - cached, cached) +
        outputMs(cost, request.outputTokens, request.promptTokens)
      const workMs = (remainingWorkMs(engine, found) + ownMs) * engine.pace
      const isLess = workMs < bestMs || (workMs === bestMs && fleet.inFlight[i]! < fleet.inFlight[best]!)
      if (!isLess) continue
      best = i
      bestMs = workMs
    }
    return best
  }
}

/**
 * The pooled-cache reference (routing-algorithms.md 6, R1): every block is stored once for all engines and readable by each at
 * once, adapters are loaded everywhere, output lengths are known, and a request goes where the least work is left. Not a strict bound: it minimises work, not
 * latency. What it has no need of is the choice between locality and balance.
 */
export const oracleArm: ArmDefinition = {
  name: 'oracle',
  kind: 'yardstick',
  summary: 'all KV caches pooled, lengths known, least remaining work: no fleet can do that',
  poolsCaches: true,
  create: () => ({ place: leastWork() }),
}

/** Parts of the oracle: 1 is as good, 0.5 takes twice as long or has half the goodput. More than 1 is possible. */
export interface OracleShare {
  readonly ttft: number
  readonly e2e: number
  readonly goodput: number
}

/** An arm's figures against those of the oracle over the same requests. */
export function shareOfOracle(arm: RunMetrics, oracle: RunMetrics): OracleShare {
  return {
    ttft: oracle.ttftMs.mean / arm.ttftMs.mean,
    e2e: oracle.e2eMs.mean / arm.e2eMs.mean,
    goodput: arm.goodputPerSecond / oracle.goodputPerSecond,
  }
}
