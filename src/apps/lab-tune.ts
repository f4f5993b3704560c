import { renderProblems } from '#config/render-problems.ts'
import type { ProfilePlan } from '#config/snapshot.ts'
import type { Env } from '#config/substitute-env.ts'
import { loadSnapshot } from '#controller/load-snapshot.ts'
import { systemClock } from '#core/clock.ts'
import { tunePage } from '#lab/report/tune-page.ts'
import { tuneText } from '#lab/report/tune-text.ts'
import { reportedSeeds, searchedSeeds } from '#lab/seeds.ts'
import { leastBudget, tune, tuneMetrics } from '#lab/tune.ts'
import { tuneSpaceOf } from '#lab/tune-space.ts'
import { builtInProfiles } from '#plugins/built-in-profiles.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { plugins } from '#plugins/index.ts'
import {
  checkRecording,
  type LabOptions,
  type LabOutput,
  LabUsageError,
  pick,
  printOver,
  withPool,
  writeReport,
} from './lab.ts'
import { LabProgress } from './lab-progress.ts'

/** What `infer-gateway lab tune` was asked for. */
export interface LabTuneOptions extends LabOptions {
  /** Of a workload that comes with the laboratory, where there is no trace. */
  readonly workload: string | undefined
  /** In the unit of the workload; for a trace, how many times as fast. */
  readonly load: number | undefined
  readonly metric: string
  /** Runs at most. */
  readonly budget: number
  /** Configuration that has today's profile; the gateway's default without it. */
  readonly config: string | undefined
  /** Name of today's profile in it. */
  readonly profile: string
  readonly env: Env
}

/** Seeds of the search: a candidate that is best on all of them is judged on the others. */
const searchSeeds = 4

/** Searches a better profile and reports. Throws LabUsageError before anything runs. */
export async function labTune(options: LabTuneOptions, output: LabOutput): Promise<void> {
  const { trace, load, budget, seeds, warmUpS, seconds, profile: profileName } = options
  const base = await todaysProfile(options)
  const candidates = defaultProfile.scorers.map(({ type }) => type)
  const space = tuneSpaceOf(base, { plugins, candidates })
  const heldOutSeeds = reportedSeeds(seeds)
  const least = leastBudget({ heldOutSeeds, space })
  if (budget < least) throw new LabUsageError(`a budget of ${budget} runs is too small: ${least} or more`)
  const metric = pick(
    'metric',
    tuneMetrics.map((name) => ({ name })),
    options.metric,
  ).name
  await withPool(options, { searched: searchSeeds, reported: seeds }, async ({ catalogue, pool }) => {
    const name = trace === undefined ? options.workload : 'trace'
    if (name === undefined) throw new LabUsageError('say what to tune for: --trace <file> or --workload <name>')
    const workload = pick('workload', catalogue.workloads, name)
    const frame = {
      workload: workload.name,
      load: load ?? workload.load,
      warmUpMs: warmUpS * 1e3,
      measuredMs: seconds * 1e3,
    }
    checkRecording(options, workload, frame.load)
    const where = `${workload.name}, ${frame.load} ${workload.unit}, ${workload.engines} x ${workload.preset}`
    const setup = {
      space,
      frame,
      where,
      isSameRecording: workload.recording?.isSame === true,
      metric,
      budget,
      tuningSeeds: searchedSeeds(searchSeeds),
      heldOutSeeds,
      seed: 1,
    }
    const tuning = await tune(setup, pool, new LabProgress(output.progress, systemClock()))
    printOver(output, `${where}; ${tuning.runs} runs\n\n`)
    output.print(tuneText(tuning, profileName))
    writeReport(options, output, { name: 'tuning', json: tuning, page: tunePage(tuning, profileName) })
  })
}

async function todaysProfile({ config, profile: name, env }: LabTuneOptions): Promise<ProfilePlan> {
  if (config === undefined) {
    if (name === 'default') return defaultProfile
    throw new LabUsageError(`--profile ${name} needs --config with the file that has it`)
  }
  const result = await loadSnapshot(config, {
    env,
    plugins,
    defaultProfile,
    builtInProfiles,
    wallMs: systemClock().wallMs,
  })
  if (!result.ok) throw new LabUsageError(`${config} is not valid:\n${renderProblems(result.problems)}`)
  const profiles = Object.entries(result.snapshot.profiles).map(([each, plan]) => ({ name: each, plan }))
  return pick('profile', profiles, name).plan
}
