import type { EngineCall } from '#sim/model/engine-request.ts'
import type { EngineSettings } from '#sim/model/engine-settings.ts'
import type { ArmDefinition, Placed } from './arm.ts'
import { type LadderShape, LadderWorkload, type Stage } from './ladder-workload.ts'
import { mean, percentile } from './percentile.ts'
import { driveArm } from './run.ts'
import type { Arrival } from './virtual-fleet.ts'
import type { Workload, WorkloadDefinition } from './workload/workload.ts'

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
export function runLadder({ shape, settings, engines, seed }: LadderSetup, arm: ArmDefinition): LadderRun {
  const stages: StageRecord[] = []
  const workload: WorkloadDefinition = {
    name: 'ladder',
    code: 'calibration',
    summary: 'stages of rising load, each of which drains',
    unit: '',
    load: 1,
    preset: 'qwen3-32b-2xh100',
    engines,
    engineOf: () => settings,
    create: () => stagedWorkload(shape, new LadderWorkload(shape, settings.blockSize, seed), stages),
  }
  const fleet = driveArm({
    arm: recorded(arm, stages),
    workload,
    seed,
    load: 1,
    warmUpMs: 0,
    measuredMs: Number.POSITIVE_INFINITY,
    readTrace: () => '',
  })
  return {
    stages: stages.slice(1).map((record) => stageResult(record, engines)),
    fleetMs: fleet.nowMs,
    steps: fleet.engines.reduce((sum, { counters }) => sum + counters.steps, 0),
  }
}

/** What becomes of one stage; the first is the warm-up. */
interface StageRecord {
  readonly stage: Stage
  readonly startMs: number
  readonly finished: Placed[]
}

/** When the last request of a stage has ended, those of the next one come. */
function stagedWorkload(shape: LadderShape, prompts: LadderWorkload, stages: StageRecord[]): Workload {
  const plan = [shape.warmUp, ...shape.stages]
  let left = 0
  const begin = (startMs: number): readonly Arrival[] => {
    const stage = plan[stages.length]
    if (stage === undefined) return []
    const arrivals = prompts.arrivals(stage, startMs)
    stages.push({ stage, startMs, finished: [] })
    left = arrivals.length
    return arrivals
  }
  return {
    arrivals: begin(0),
    onFinished: (_, atMs) => (--left > 0 ? [] : begin(atMs + shape.restMs)),
  }
}

/** The same arm, writing down what ends. */
function recorded(arm: ArmDefinition, stages: readonly StageRecord[]): ArmDefinition {
  return {
    ...arm,
    create(ports) {
      const made = arm.create(ports)
      return {
        place: (arrival, fleet) => made.place(arrival, fleet),
        onFirstToken: (placed, atMs) => made.onFirstToken?.(placed, atMs),
        onFinished(placed, atMs) {
          stages.at(-1)?.finished.push(placed)
          made.onFinished?.(placed, atMs)
        },
        open: () => made.open?.() ?? 0,
      }
    },
  }
}

function stageResult({ stage, startMs, finished }: StageRecord, engines: number): StageResult {
  const calls = finished.toSorted((a, b) => a.arrival.atMs - b.arrival.atMs).map(({ call }) => call)
  const ttft = Float64Array.from(calls, (call) => call.firstTokenMs - call.arrivedMs)
  const e2e = Float64Array.from(calls, (call) => call.lastTokenMs - call.arrivedMs)
  const perToken = Float64Array.from(calls, (call) => (call.lastTokenMs - call.arrivedMs) / call.producedTokens)
  const endMs = calls.reduce((latest, call) => Math.max(latest, call.lastTokenMs), startMs)
  const sum = (value: (call: EngineCall) => number): number => calls.reduce((total, call) => total + value(call), 0)
  const perEngine = new Float64Array(engines)
  for (const { endpoint } of finished) perEngine[endpoint] = (perEngine[endpoint] ?? 0) + 1
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
    preemptions: sum(({ preemptions }) => preemptions),
    loadMaxOverMean: (Math.max(...perEngine) * engines) / calls.length,
  }
}
