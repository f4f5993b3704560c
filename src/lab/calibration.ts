import { engineSettings } from '#sim/model/engine-settings.ts'
import { type AnchorResult, anchorTolerance, deviationOf } from './anchors.ts'
import { type LadderRun, runLadder, type StageResult } from './ladder.ts'
import { publishedLadder } from './ladder-workload.ts'
import { type LineChart, lineCharts, type Series } from './line-chart.ts'
import { byGroup, longestPrefix, randomly, roundRobin } from './placements.ts'
import { kneeOf, type PublishedStage, plateauOf, publishedAffinity, publishedBlind } from './published-ladder.ts'
import type { Placement } from './virtual-fleet.ts'

/** A way to place requests, run over the published ladder. */
export interface Arm {
  readonly name: string
  readonly isBlind: boolean
  readonly color: string
  /** Nearest to what was measured; used to try coefficients. */
  readonly isReference?: boolean
  readonly placement: (seed: number) => Placement
}

export const calibrationArms: readonly Arm[] = [
  { name: 'round robin', isBlind: true, isReference: true, color: '#b45309', placement: () => roundRobin() },
  { name: 'random', isBlind: true, color: '#eab308', placement: (seed) => randomly(seed) },
  { name: 'by group', isBlind: false, color: '#0891b2', placement: () => byGroup() },
  {
    name: 'longest prefix, bounded load',
    isBlind: false,
    isReference: true,
    color: '#1d4ed8',
    placement: () => longestPrefix(),
  },
]

export const calibrationEngines = 8

/** Seeds of the calibration: plateau and knee of every one are reported, stages of the first. */
export const calibrationSeeds: readonly number[] = [1, 2, 3, 4, 5]

/** Factors on the time to read KV in decode that published fits disagree about (model-servers.md 6.3). */
const kvReadFactors = [1, 1.45, 1.9] as const

/** Runs one arm over the published ladder. */
export function runArm(arm: Arm, seed: number, kvReadFactor = 1): LadderRun {
  const preset = engineSettings('qwen3-32b-2xh100')
  const cost = { ...preset.cost, perContextTokenNs: preset.cost.perContextTokenNs * kvReadFactor }
  const setup = { shape: publishedLadder, settings: { ...preset, cost }, engines: calibrationEngines, seed }
  return runLadder(setup, arm.placement(seed))
}

/** Plateau (output tokens per second) and knee (requests per second) of one run. */
export interface Summary {
  readonly least: number
  readonly mean: number
  readonly most: number
  readonly knee: number
}

export function summaryOf({ stages }: LadderRun): Summary {
  return { ...plateauOf(stages), knee: kneeOf(stages) }
}

export interface ArmResult {
  readonly name: string
  readonly isBlind: boolean
  readonly color: string
  /** Of the first seed. */
  readonly run: LadderRun
  /** Of every seed, in the order of {@link calibrationSeeds}. */
  readonly seeds: readonly Summary[]
}

/** What becomes of the plateaus when reading KV takes longer, with the first seed. */
export interface Sensitivity {
  readonly name: string
  readonly kvReadFactor: number
  readonly summary: Summary
}

/** The calibration in figures. */
export interface Calibration {
  readonly arms: readonly ArmResult[]
  readonly sensitivity: readonly Sensitivity[]
  readonly anchors: readonly AnchorResult[]
}

export function armResult(arm: Arm): ArmResult {
  const [first, ...others] = calibrationSeeds.map((seed) => runArm(arm, seed))
  if (first === undefined) throw new RangeError('a calibration needs a seed')
  const { name, isBlind, color } = arm
  return { name, isBlind, color, run: first, seeds: [first, ...others].map(summaryOf) }
}

export function sensitivityOf(arms: readonly Arm[]): readonly Sensitivity[] {
  return kvReadFactors.flatMap((kvReadFactor) =>
    arms.map((arm) => ({
      name: arm.name,
      kvReadFactor,
      summary: summaryOf(runArm(arm, calibrationSeeds[0] ?? 1, kvReadFactor)),
    })),
  )
}

/** What was asked of the ladder, what each seed gave, and how many of the seeds are as asked. */
export interface Check {
  readonly what: string
  readonly bounds: readonly [number, number]
  /** Least and greatest value of each seed. */
  readonly found: readonly (readonly [number, number])[]
  readonly holding: number
}

/** Plateau and knee of every arm against the published ones. */
export function checkLadder(arms: readonly ArmResult[]): readonly Check[] {
  return arms.flatMap(({ name, isBlind, seeds }) => {
    const bounds = isBlind ? ([6_200, 7_700] as const) : ([13_528 * 0.85, 14_941 * 1.15] as const)
    const knee = kneeOf(isBlind ? publishedBlind : publishedAffinity)
    return [
      check(
        `${name}: output at 40 to 60 requests/s, tok/s`,
        bounds,
        seeds.map(({ least, most }) => [least, most] as const),
      ),
      check(
        `${name}: load at the knee, requests/s`,
        [knee, knee],
        seeds.map((each) => [each.knee, each.knee] as const),
      ),
    ]
  })
}

function check(what: string, bounds: readonly [number, number], found: Check['found']): Check {
  const [low, high] = bounds
  return { what, bounds, found, holding: found.filter(([least, most]) => least >= low && most <= high).length }
}

/** The calibration as it is committed, its figures rounded: page and plot are made from what this gives back. */
export function calibrationJson(calibration: Calibration): string {
  const rounded = (_: string, value: unknown): unknown =>
    typeof value === 'number' ? Number(value.toPrecision(6)) : value
  return `${JSON.stringify(calibration, rounded, 1)}\n`
}

function seriesOf(arms: readonly ArmResult[], value: (stage: StageResult) => number): readonly Series[] {
  return arms.map(({ name, color, run }) => ({
    name,
    color,
    points: run.stages.map((stage) => [stage.ratePerSecond, value(stage)] as const),
  }))
}

function publishedSeries(value: (stage: PublishedStage) => number | undefined): readonly Series[] {
  const marks = (name: string, color: string, stages: readonly PublishedStage[]): Series => ({
    name,
    color,
    marksOnly: true,
    points: stages.flatMap((stage) => {
      const y = value(stage)
      return y === undefined ? [] : [[stage.ratePerSecond, y] as const]
    }),
  })
  return [
    marks('measured: Kubernetes', '#7c2d12', publishedBlind),
    marks('measured: llm-d', '#1e1b4b', publishedAffinity),
  ]
}

export function calibrationSvg({ arms }: Pick<Calibration, 'arms'>): string {
  const xLabel = 'requests per second'
  const charts: readonly LineChart[] = [
    {
      title: 'Output of the fleet',
      xLabel,
      yLabel: 'output tokens per second',
      series: [
        ...seriesOf(arms, (stage) => stage.outputTokensPerSecond),
        ...publishedSeries((stage) => stage.outputTokensPerSecond),
      ],
    },
    {
      title: 'Time to first token, 90th percentile',
      xLabel,
      yLabel: 'seconds',
      isLogarithmic: true,
      series: [
        ...seriesOf(arms, (stage) => stage.ttftP90Ms / 1e3),
        ...publishedSeries(({ ttftP90Ms }) => (ttftP90Ms === undefined ? undefined : ttftP90Ms / 1e3)),
      ],
    },
  ]
  return lineCharts(charts)
}

/** Whether an anchor is met. */
export function isMet(anchor: AnchorResult): boolean {
  return Math.abs(deviationOf(anchor)) <= anchorTolerance
}
