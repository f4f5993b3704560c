/**
 * Checks the simulated engine against published measurements: `scripts/run node bench/lab/ladder.ts [--no-write]`.
 * Runs the ladder in virtual time, prints what it found and rewrites docs/figures/calibration.{md,json,svg}.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { type AnchorResult, compareAnchors, deviationOf } from '#lab/anchors.ts'
import {
  type ArmResult,
  armResult,
  type Calibration,
  type CalibrationArm,
  calibrationArms,
  calibrationJson,
  calibrationSeeds,
  calibrationSvg,
  checkLadder,
  isMet,
  sensitivityOf,
} from '#lab/calibration.ts'
import { calibrationPage } from '#lab/calibration-page.ts'
import type { StageResult } from '#lab/ladder.ts'

function printStage(stage: StageResult): void {
  const cells = [
    stage.ratePerSecond.toFixed(0).padStart(5),
    stage.outputTokensPerSecond.toFixed(0).padStart(9),
    (stage.ttftP50Ms / 1e3).toFixed(2).padStart(9),
    (stage.ttftP90Ms / 1e3).toFixed(2).padStart(9),
    (stage.e2eP50Ms / 1e3).toFixed(1).padStart(9),
    stage.perTokenP50Ms.toFixed(1).padStart(9),
    `${(stage.hitRatio * 100).toFixed(1)} %`.padStart(9),
  ]
  console.log(cells.join(''))
}

function runPrinted(arm: CalibrationArm): ArmResult {
  const started = process.cpuUsage()
  const result = armResult(arm)
  const { user, system } = process.cpuUsage(started)
  const cpu = ((user + system) / 1e6 / calibrationSeeds.length).toFixed(1)
  const fleet = (result.run.fleetMs / 1e3).toFixed(0)
  console.log(`\n${arm.name}: ${fleet} s of fleet time, ${result.run.steps} steps, ${cpu} s of CPU a seed`)
  console.log(' rate    tok/s  TTFT p50  TTFT p90   e2e p50  ms/token    cached')
  for (const stage of result.run.stages) printStage(stage)
  return result
}

function printVerdicts(arms: readonly ArmResult[], anchors: readonly AnchorResult[]): void {
  console.log('\nseeds as wanted')
  for (const { what, found, holding } of checkLadder(arms)) {
    const values = found.map(([least, most]) =>
      least === most ? `${least}` : `${least.toFixed(0)}-${most.toFixed(0)}`,
    )
    console.log(`${holding} of ${found.length}  ${what}: ${values.join(' ')}`)
  }
  console.log('\nanchors')
  for (const anchor of anchors) {
    const off = `${(deviationOf(anchor) * 100).toFixed(0)} %`.padStart(6)
    console.log(`${off} ${isMet(anchor) ? ' ' : '!'} ${anchor.anchor} ${anchor.what}`)
  }
}

const arms = calibrationArms.map(runPrinted)
const anchors = compareAnchors()
printVerdicts(arms, anchors)
if (!process.argv.includes('--no-write')) {
  const sensitivity = sensitivityOf(calibrationArms.filter(({ isReference }) => isReference))
  const json = calibrationJson({ arms, sensitivity, anchors })
  const rounded = JSON.parse(json) as Calibration
  const folder = new URL('../../docs/figures/', import.meta.url)
  mkdirSync(folder, { recursive: true })
  writeFileSync(new URL('calibration.json', folder), json)
  writeFileSync(new URL('calibration.md', folder), calibrationPage(rounded))
  writeFileSync(new URL('calibration.svg', folder), calibrationSvg(rounded))
  console.log('\nwrote docs/figures/calibration.md, .json and .svg')
}
