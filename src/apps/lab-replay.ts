import { readFileSync } from 'node:fs'
import type { ProfilePlan } from '#config/snapshot.ts'
import type { Env } from '#config/substitute-env.ts'
import { systemClock } from '#core/clock.ts'
import { Fault } from '#core/fault.ts'
import type { ArmDefinition } from '#lab/arm.ts'
import { arms } from '#lab/arm-table.ts'
import { ownArm } from '#lab/arms/own-profiles.ts'
import { compare } from '#lab/comparison.ts'
import { DecisionsError, type RecordedDecisions, readDecisions } from '#lab/replay/decisions.ts'
import { replayWorkload } from '#lab/replay/replay-workload.ts'
import { comparisonPage } from '#lab/report/comparison-page.ts'
import { columnText } from '#lab/report/comparison-text.ts'
import { reportedSeeds } from '#lab/seeds.ts'
import { localRunner } from '#lab/task.ts'
import { enginePresets, type PresetName } from '#sim/model/presets.ts'
import { type LabOutput, LabUsageError, makeFolder, pick, printOver, systemReason, writeReport } from './lab.ts'
import { LabProgress } from './lab-progress.ts'
import { otherProfile } from './what-if.ts'

/** What `infer-gateway lab replay` was asked for. */
export interface LabReplayOptions {
  /** Files of decisions. */
  readonly files: readonly string[]
  /** The model server whose decisions are replayed; undefined: the only one there is. */
  readonly modelServer: string | undefined
  /** Profiles, configurations or strategies, as `explain --what-if` takes them. */
  readonly whatIf: readonly string[]
  /** Arms of the laboratory, or kinds of them, beside those. */
  readonly arms: readonly string[]
  readonly engines: number | undefined
  readonly preset: string
  /** Mean tokens of an answer. */
  readonly outputTokens: number
  /** How many times faster than recorded. */
  readonly speed: number
  /** Part of the recording that only fills the caches. */
  readonly warmUpPart: number
  readonly seeds: number
  readonly out: string | undefined
  readonly env: Env
}

/** Fewer say nothing. */
const fewestRequests = 10

/** Replays recorded decisions under other profiles, with all that follows from them. Throws LabUsageError before anything runs. */
export async function labReplay(options: LabReplayOptions, output: LabOutput): Promise<void> {
  const recorded = read(options.files)
  const requests = ofOneServer(recorded, options.modelServer)
  const presets = (Object.keys(enginePresets) as PresetName[]).map((name) => ({ name }))
  const workload = replayWorkload(requests, {
    engines: options.engines ?? Math.max(...requests.map(({ endpoints }) => endpoints)),
    preset: pick('engine', presets, options.preset).name,
    outputTokens: options.outputTokens,
  })
  const compared = [...(await profileArms(options, { ...recorded, requests })), ...namedArms(options.arms)]
  const lengthMs = (workload.recording?.lengthMs ?? 0) / options.speed
  if (options.out !== undefined) makeFolder(options.out)
  const setup = {
    arms: compared,
    workloads: [workload],
    seeds: reportedSeeds(options.seeds),
    loads: [1],
    rate: options.speed,
    warmUpMs: options.warmUpPart * lengthMs,
    measuredMs: (1 - options.warmUpPart) * lengthMs,
  }
  const catalogue = { arms: compared, workloads: [workload], readTrace: () => '' }
  const comparison = await orUsage(
    compare(setup, {
      runner: localRunner(catalogue),
      progress: new LabProgress(output.progress, systemClock()),
      onColumn: (column) => printOver(output, columnText(column, output.width)),
    }),
  )
  output.print(notesOf(requests))
  writeReport(options, output, { name: 'replay', json: comparison, page: comparisonPage(comparison) })
}

function read(files: readonly string[]): RecordedDecisions {
  try {
    return readDecisions(files.map((name) => ({ name, text: readFileSync(name, 'utf8') })))
  } catch (error) {
    if (error instanceof DecisionsError) throw new LabUsageError(error.message)
    const why = error instanceof Error ? systemReason(error) : undefined
    if (why === undefined) throw error
    throw new LabUsageError(`${(error as { readonly path?: string }).path ?? files.join(', ')} ${why}`)
  }
}

type Requests = RecordedDecisions['requests']

function ofOneServer({ requests }: RecordedDecisions, wanted: string | undefined): Requests {
  const servers = [...new Set(requests.map(({ modelServer }) => modelServer))].toSorted()
  if (wanted !== undefined && !servers.includes(wanted)) {
    throw new LabUsageError(`no decision is of '${wanted}'; there are ${servers.join(', ')}`)
  }
  if (wanted === undefined && servers.length > 1) {
    throw new LabUsageError(`the decisions are of ${servers.join(', ')}: choose one with --model-server`)
  }
  const chosen = requests.filter(({ modelServer }) => wanted === undefined || modelServer === wanted)
  if (chosen.length < fewestRequests) {
    throw new LabUsageError(`${chosen.length} recorded requests say nothing: ${fewestRequests} or more`)
  }
  return chosen
}

/** The profile that made the decisions, or today's default where the files do not have it, and those that are asked for. */
async function profileArms(
  { whatIf, env }: LabReplayOptions,
  { requests, profiles }: RecordedDecisions,
): Promise<readonly ArmDefinition[]> {
  const used = [...new Set(requests.map(({ profile }) => profile))]
  const inForce = used.flatMap((name) => {
    const plan = profiles[name]
    return plan === undefined ? [] : [ownArm(name, `the profile '${name}', which was in force`, plan)]
  })
  const others = await Promise.all(
    whatIf.map(async (text) => ownArm(text, text, await planNamed(text, profiles, { env, requests }))),
  )
  const usual = inForce.length === 0 ? arms.filter(({ name }) => name === 'gateway') : inForce
  const all = new Map([...usual, ...others].map((arm) => [arm.name, arm]))
  return [...all.values()]
}

async function planNamed(
  text: string,
  profiles: Readonly<Record<string, ProfilePlan>>,
  { env, requests }: { readonly env: Env; readonly requests: Requests },
): Promise<ProfilePlan> {
  const { planOf } = await orUsage(otherProfile(text, profiles, env))
  return planOf({ modelServer: requests[0]?.modelServer ?? '' })
}

/** What is asked for is at fault. */
async function orUsage<Value>(work: Promise<Value>): Promise<Value> {
  try {
    return await work
  } catch (error) {
    throw error instanceof Fault && error.source === 'client' ? new LabUsageError(error.message) : error
  }
}

function namedArms(names: readonly string[]): readonly ArmDefinition[] {
  const found = names.flatMap((name) => {
    const ofKind = arms.filter(({ kind }) => kind === name)
    return ofKind.length > 0 ? ofKind : [pick('arm', arms, name)]
  })
  return [...new Set(found)]
}

function notesOf(requests: Requests): string {
  const unmarked = requests.filter(({ marks }) => marks === undefined).length
  const notes = [
    'Arrivals, lengths of prompts, and what they share (to within an eighth) are as recorded; answers are drawn, caches begin empty,',
    'engines are simulated, and only recorded requests come: record all of them (scheduler.recordEvery: 1) for the load they made.',
  ]
  if (unmarked > 0) {
    notes.push(`Of ${unmarked} of ${requests.length} prompts it is not known what they share: they count as new.`)
  }
  return `${notes.join('\n')}\n`
}
