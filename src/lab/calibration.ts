import { engineSettings } from '#sim/model/engine-settings.ts'
import { type AnchorResult, anchorTolerance, deviationOf } from './anchors.ts'
import type { ArmDefinition } from './arm.ts'
import { blindArms } from './arms/blind.ts'
import { peerArms } from './arms/peers.ts'
import { type LadderRun, runLadder, type StageResult } from './ladder.ts'
import { publishedLadder } from './ladder-workload.ts'
import { type ChartSeries, type LineChart, lineCharts } from './line-chart.ts'
import { byGroup, longestPrefix } from './placements.ts'
import {
  earlyShareOf,
  kneeOf,
  type PublishedStage,
  plateauOf,
  publishedAffinity,
  publishedBlind,
} from './published-ladder.ts'
import type { Placement } from './virtual-fleet.ts'

/** A way to place requests, run over the published ladder. */
export interface CalibrationArm {
  readonly name: string
  readonly isBlind: boolean
  readonly color: string
  /** Nearest to what was measured; used to try coefficients. */
  readonly isReference?: boolean
  readonly arm: ArmDefinition
}

/** Arrivals so far apart are of different stages. */
const pauseMs = 10_000

/**
 * One engine after the other; after a pause from any of them, since a real balancer goes on counting. Every stage asks the same
 * prompts in the same order, so that a fixed beginning would at times give an engine the prompts it has had.
 */
const inTurn: ArmDefinition = {
  name: 'in-turn',
  kind: 'blind',
  summary: '',
  create({ rng }) {
    let turn = 0
    let lastMs = Number.NEGATIVE_INFINITY
    return {
      place({ atMs }, { engines }) {
        if (atMs - lastMs > pauseMs) turn = Math.floor(rng() * engines.length)
        lastMs = atMs
        return turn++ % engines.length
      },
    }
  },
}

function placed(name: string, place: () => Placement): ArmDefinition {
  return { name, kind: 'yardstick', summary: '', create: () => ({ place: place() }) }
}

function named(name: string): ArmDefinition {
  const found = [...blindArms, ...peerArms].find((each) => each.name === name)
  if (found === undefined) throw new RangeError(`there is no arm ${name}`)
  return found
}

export const calibrationArms: readonly CalibrationArm[] = [
  { name: 'round robin', isBlind: true, isReference: true, color: '#b45309', arm: inTurn },
  { name: 'random', isBlind: true, color: '#eab308', arm: named('random') },
  { name: 'by group', isBlind: false, color: '#0891b2', arm: placed('by-group', byGroup) },
  {
    name: 'longest prefix, bounded load',
    isBlind: false,
    isReference: true,
    color: '#1d4ed8',
    arm: placed('longest-prefix', longestPrefix),
  },
  { name: 'llm-d, default weights', isBlind: false, color: '#7c3aed', arm: named('llm-d') },
  { name: 'llm-d, affinity then tokens', isBlind: false, color: '#be185d', arm: named('llm-d-tokens') },
]

export const calibrationEngines = 8

/** Seeds of the calibration: plateau and knee of every one are reported, stages of the first. */
export const calibrationSeeds: readonly number[] = [1, 2, 3, 4, 5]

/** Factors on the time to read KV in decode that published fits disagree about (model-servers.md 6.3). */
const kvReadFactors = [1, 1.45, 1.9] as const

/** Runs one arm over the published ladder. */
export function runLadderArm({ arm }: CalibrationArm, seed: number, kvReadFactor = 1): LadderRun {
  const preset = engineSettings('qwen3-32b-2xh100')
  const cost = { ...preset.cost, perContextTokenNs: preset.cost.perContextTokenNs * kvReadFactor }
  const setup = { shape: publishedLadder, settings: { ...preset, cost }, engines: calibrationEngines, seed }
  return runLadder(setup, arm)
}

/** Plateau (output tokens per second) and knee (requests per second) of one run. */
export interface Summary {
  readonly least: number
  readonly mean: number
  readonly most: number
  readonly knee: number
  /** Output at 15 requests per second as a part of the plateau. */
  readonly early: number
}

export function summaryOf({ stages }: LadderRun): Summary {
  return { ...plateauOf(stages), knee: kneeOf(stages), early: earlyShareOf(stages) }
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

export function armResult(arm: CalibrationArm): ArmResult {
  const [first, ...others] = calibrationSeeds.map((seed) => runLadderArm(arm, seed))
  if (first === undefined) throw new RangeError('a calibration needs a seed')
  const { name, isBlind, color } = arm
  return { name, isBlind, color, run: first, seeds: [first, ...others].map(summaryOf) }
}

export function sensitivityOf(arms: readonly CalibrationArm[]): readonly Sensitivity[] {
  return kvReadFactors.flatMap((kvReadFactor) =>
    arms.map((arm) => ({
      name: arm.name,
      kvReadFactor,
      summary: summaryOf(runLadderArm(arm, calibrationSeeds[0] ?? 1, kvReadFactor)),
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
    const published = isBlind ? publishedBlind : publishedAffinity
    const knee = kneeOf(published)
    const early = earlyShareOf(published)
    return [
      check(
        `${name}: output at 40 to 60 requests/s, tok/s`,
        bounds,
        seeds.map(({ least, most }) => [least, most] as const),
      ),
      check(
        `${name}: load at the knee, requests/s`,
        [0.85 * knee, 1.15 * knee],
        seeds.map((each) => [each.knee, each.knee] as const),
      ),
      check(
        `${name}: output at 15 requests/s, part of the plateau`,
        [0.85 * early, 1.15 * early],
        seeds.map((each) => [each.early, each.early] as const),
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

function seriesOf(arms: readonly ArmResult[], value: (stage: StageResult) => number): readonly ChartSeries[] {
  return arms.map(({ name, color, run }) => ({
    name,
    color,
    hasMarks: true,
    points: run.stages.map((stage) => [stage.ratePerSecond, value(stage)] as const),
  }))
}

function publishedSeries(value: (stage: PublishedStage) => number | undefined): readonly ChartSeries[] {
  const marks = (name: string, color: string, stages: readonly PublishedStage[]): ChartSeries => ({
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
  const x = { label: 'requests per second', min: 0 }
  const charts: readonly LineChart[] = [
    {
      title: 'Output of the fleet',
      x,
      y: { label: 'output tokens per second' },
      series: [
        ...seriesOf(arms, (stage) => stage.outputTokensPerSecond),
        ...publishedSeries((stage) => stage.outputTokensPerSecond),
      ],
    },
    {
      title: 'Time to first token, 90th percentile',
      x,
      y: { label: 'seconds', isLogarithmic: true },
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
