import { availableParallelism } from 'node:os'
import { systemClock } from '#core/clock.ts'
import { Fault } from '#core/fault.ts'
import { type AgreementRun, agreementOf } from '#lab/agreement.ts'
import type { AgreementPoint, AgreementReport, HttpConditions } from '#lab/agreement-report.ts'
import { ownProfiles } from '#lab/arms/own-profiles.ts'
import { agreementPage } from '#lab/report/agreement-page.ts'
import { agreementHead, agreementPointText } from '#lab/report/agreement-text.ts'
import { settingsOf } from '#lab/run.ts'
import { reportedSeeds } from '#lab/seeds.ts'
import type { WorkloadDefinition } from '#lab/workload/workload.ts'
import {
  chosenWorkloads,
  type LabOptions,
  type LabOutput,
  LabUsageError,
  pick,
  printOver,
  readCatalogue,
  sourcesOf,
  writeReport,
} from './lab.ts'
import { type HttpRunPlan, runInVirtualTime, runOverHttp } from './lab-http-run.ts'

/** What `infer-gateway lab http` was asked for. */
export interface LabHttpOptions extends LabOptions {
  readonly workloads: readonly string[] | undefined
  /** One of the gateway's own arms. */
  readonly arm: string
  /** Multiples of each workload's own load. */
  readonly loads: readonly number[]
  /** Load in the unit of the workloads, instead. */
  readonly rate: number | undefined
  /** How many times faster than the clock the fleet's time goes. */
  readonly timeFactor: number
  /** Tokens in one event of a stream. */
  readonly streamInterval: number
}

/** Runs with later arrivals, which show what is chance. */
const repeats = 5

/** Serves workloads by the real gateway over HTTP and in virtual time, and reports. Throws LabUsageError before anything runs. */
export async function labHttp(options: LabHttpOptions, output: LabOutput): Promise<AgreementReport> {
  const { arm, warmUpS, seconds } = options
  const plans = httpPlans(options)
  const seeds = reportedSeeds(options.seeds)
  const common = { arm, seeds, warmUpS, seconds, processors: availableParallelism() }
  output.print(`${agreementHead(common)}\n\n`)
  const points: AgreementPoint[] = []
  for (const plan of plans) {
    const point = await runPoint(plan, options, output)
    points.push(point)
    printOver(output, `${agreementPointText(point)}\n`)
  }
  const report = { ...common, points }
  writeReport(options, output, { name: 'http', json: report, page: agreementPage(report) })
  return report
}

type PointPlan = Omit<HttpRunPlan, 'seed'>

function httpPlans(options: LabHttpOptions): readonly PointPlan[] {
  const { loads, rate, seeds, warmUpS, seconds, timeFactor, streamInterval } = options
  const profile = ownProfiles.get(options.arm)
  if (profile === undefined) {
    const known = [...ownProfiles.keys()].map((name) => ({ name }))
    throw new LabUsageError(`no arm of the gateway is named '${pick('arm of the gateway', known, options.arm).name}'`)
  }
  const catalogue = readCatalogue({ ...sourcesOf(options), counts: { searched: 0, reported: seeds } })
  return chosenWorkloads(options.workloads, catalogue).flatMap((workload) => {
    checkWorkload(workload)
    return (rate === undefined ? loads.map((factor) => factor * workload.load) : [rate]).map((load) => ({
      workload,
      profile,
      load,
      warmUpMs: warmUpS * 1e3,
      measuredMs: seconds * 1e3,
      timeFactor,
      streamInterval,
      readTrace: catalogue.readTrace,
    }))
  })
}

/** Throws for a workload in which more happens than requests to one gateway in front of engines that do all. */
function checkWorkload(workload: WorkloadDefinition): void {
  const { name, incidents, absent = [], gateways = 1 } = workload
  const isWhole = settingsOf(workload).every(({ role }) => role === 'both')
  if (incidents === undefined && absent.length === 0 && gateways === 1 && isWhole) return
  throw new LabUsageError(
    `'${name}' does not run over HTTP: its fleet changes on the way, or has several gateways or roles`,
  )
}

async function runPoint(plan: PointPlan, options: LabHttpOptions, output: LabOutput): Promise<AgreementPoint> {
  const { workload, load } = plan
  const seeds = reportedSeeds(options.seeds)
  const runs: AgreementRun[] = []
  const conditions: HttpConditions[] = []
  for (const seed of seeds) {
    const seeded = { ...plan, seed }
    const endS = (plan.warmUpMs + plan.measuredMs) / 1e3
    const http = await runOverHttp(seeded, systemClock(), (fleetMs) =>
      output.progress(
        `${workload.name} at ${load}, seed ${seed}: ${(fleetMs / 1e3).toFixed(0)} of ${endS} s of arrivals`,
      ),
    )
    if (http.served.length === 0) {
      throw new Fault(
        'self',
        `${workload.name} at ${load}: no answer came over HTTP (${JSON.stringify(http.conditions)})`,
      )
    }
    conditions.push(http.conditions)
    runs.push({
      seed,
      http: http.served,
      asPlaced: http.asPlaced,
      virtual: runInVirtualTime(seeded),
      again: Array.from({ length: repeats }, (_, i) => runInVirtualTime(seeded, i + 1)),
    })
  }
  return {
    workload: workload.name,
    load,
    unit: workload.unit,
    fleet: `${workload.engines} x ${workload.preset}`,
    timeFactor: plan.timeFactor,
    streamInterval: plan.streamInterval,
    agreement: agreementOf(runs, { engines: workload.engines, warmUpMs: plan.warmUpMs }),
    conditions,
  }
}
