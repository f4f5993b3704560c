import type { EngineCall } from '#sim/model/engine-request.ts'
import type { EngineSettings } from '#sim/model/engine-settings.ts'
import { type LadderShape, LadderWorkload, type Stage } from './ladder-workload.ts'
import { mean, percentile } from './percentile.ts'
import { type Placement, VirtualFleet } from './virtual-fleet.ts'

/** What one stage of a ladder came to. Output rates count from the start of the stage to the end of its last request. */
export interface StageResult {
  readonly ratePerSecond: number
  readonly requests: number
  readonly outputTokensPerSecond: number
  readonly ttftMeanMs: number
  readonly ttftP50Ms: number
  readonly ttftP90Ms: number
  readonly ttftP99Ms: number
  /** End-to-end time, and the same per output token. */
  readonly e2eP50Ms: number
  readonly e2eP90Ms: number
  readonly perTokenP50Ms: number
  /** Part of the prompt tokens that was cached. */
  readonly hitRatio: number
  readonly preemptions: number
  /** Requests of the engine that got most, against the mean. */
  readonly loadMaxOverMean: number
}

export interface LadderRun {
  readonly stages: readonly StageResult[]
  /** How much virtual time the ladder took. */
  readonly fleetMs: number
  readonly steps: number
}

export interface LadderSetup {
  readonly shape: LadderShape
  readonly settings: EngineSettings
  readonly engines: number
  readonly seed: number
}

/** Runs a ladder: each stage waits until the one before has drained and rested. The same setup gives the same numbers. */
export function runLadder({ shape, settings, engines, seed }: LadderSetup, place: Placement): LadderRun {
  const fleet = new VirtualFleet(Array.from({ length: engines }, () => settings))
  const workload = new LadderWorkload(shape, settings.blockSize, seed)
  fleet.serve(workload.arrivals(shape.warmUp, fleet.nowMs), place)
  const stages = shape.stages.map((stage) => {
    fleet.advance(fleet.nowMs + shape.restMs)
    const startMs = fleet.nowMs
    const before = fleet.engines.map(({ counters }) => ({ ...counters }))
    const calls = fleet.serve(workload.arrivals(stage, startMs), place)
    const grown = fleet.engines.map(({ counters }, i) => ({
      submitted: counters.submitted - before[i]!.submitted,
      preemptions: counters.preemptions - before[i]!.preemptions,
    }))
    return stageResult(stage, { startMs, calls, grown })
  })
  return {
    stages,
    fleetMs: fleet.nowMs,
    steps: fleet.engines.reduce((sum, { counters }) => sum + counters.steps, 0),
  }
}

interface StageRecord {
  readonly startMs: number
  readonly calls: readonly EngineCall[]
  /** Of each engine in this stage. */
  readonly grown: readonly { readonly submitted: number; readonly preemptions: number }[]
}

function stageResult(stage: Stage, { startMs, calls, grown }: StageRecord): StageResult {
  const ttft = Float64Array.from(calls, (call) => call.firstTokenMs - call.arrivedMs)
  const e2e = Float64Array.from(calls, (call) => call.lastTokenMs - call.arrivedMs)
  const perToken = Float64Array.from(calls, (call) => (call.lastTokenMs - call.arrivedMs) / call.producedTokens)
  const endMs = calls.reduce((latest, call) => Math.max(latest, call.lastTokenMs), startMs)
  const sum = (value: (call: EngineCall) => number): number => calls.reduce((total, call) => total + value(call), 0)
  const most = Math.max(...grown.map(({ submitted }) => submitted))
  return {
    ratePerSecond: stage.ratePerSecond,
    requests: calls.length,
    outputTokensPerSecond: (sum(({ producedTokens }) => producedTokens) * 1e3) / (endMs - startMs),
    ttftMeanMs: mean(ttft),
    ttftP50Ms: percentile(ttft, 0.5),
    ttftP90Ms: percentile(ttft, 0.9),
    ttftP99Ms: percentile(ttft, 0.99),
    e2eP50Ms: percentile(e2e, 0.5),
    e2eP90Ms: percentile(e2e, 0.9),
    perTokenP50Ms: percentile(perToken, 0.5),
    hitRatio: sum(({ cachedTokens }) => cachedTokens) / sum(({ request }) => request.promptTokens),
    preemptions: grown.reduce((total, { preemptions }) => total + preemptions, 0),
    loadMaxOverMean: (most * grown.length) / calls.length,
  }
}
