import { accessSync, constants, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '#core/clock.ts'
import { Fault } from '#core/fault.ts'
import type { ArmDefinition } from '#lab/arm.ts'
import { arms } from '#lab/arm-table.ts'
import { findCapacities } from '#lab/capacity.ts'
import { compare } from '#lab/comparison.ts'
import { capacityPage } from '#lab/report/capacity-page.ts'
import { capacityText } from '#lab/report/capacity-text.ts'
import { comparisonPage } from '#lab/report/comparison-page.ts'
import { columnText, regretText } from '#lab/report/comparison-text.ts'
import { reportJson } from '#lab/report/json.ts'
import { reportedSeeds, type SeedCounts, searchedSeeds } from '#lab/seeds.ts'
import type { Catalogue } from '#lab/task.ts'
import type { WorkloadDefinition } from '#lab/workload/workload.ts'
import { enginePresets, type PresetName } from '#sim/model/presets.ts'
import { nearNames } from '#struct/near-names.ts'
import { catalogueOf, type LabSources } from './lab-catalogue.ts'
import { type LabPool, startLabPool } from './lab-pool.ts'
import { LabProgress } from './lab-progress.ts'

/** What all runs of the laboratory are asked for. */
export interface LabOptions {
  /** Virtual seconds. */
  readonly warmUpS: number
  readonly seconds: number
  /** How many seeds, from 1 on. */
  readonly seeds: number
  /** Threads. */
  readonly jobs: number
  /** A trace of the user's own: the workload `trace`. */
  readonly trace: string | undefined
  /** Instead of the fleet of every workload. */
  readonly engines: number | undefined
  readonly preset: string | undefined
  /** Folder for the JSON file and the page; undefined writes none. */
  readonly out: string | undefined
}

/** Which arms and workloads: names, or kinds of arms; undefined is all of them, or the trace alone when there is one. */
export interface LabChoice {
  readonly workloads: readonly string[] | undefined
  readonly arms: readonly string[] | undefined
}

/** What `infer-gateway lab run` was asked for. */
export interface LabRunOptions extends LabOptions, LabChoice {
  /** Multiples of each workload's own load. */
  readonly loads: readonly number[]
  /** Load in the unit of the workloads, instead. */
  readonly rate: number | undefined
  /** Whether peers also run at their best setting, found on as many other seeds as `tuningSeeds`. */
  readonly hindsight: boolean
  readonly tuningSeeds: number
}

/** What `infer-gateway lab capacity` was asked for. */
export interface LabCapacityOptions extends LabOptions, LabChoice {
  /** Part of the requests that must be inside the objective. */
  readonly share: number
  /** Ratio of the bounds at which the search ends. */
  readonly tolerance: number
}

/** Where output goes. */
export interface LabOutput {
  /** The report. */
  readonly print: (text: string) => void
  /** One line about how far it is, which replaces the one before. */
  readonly progress: (line: string) => void
  /** Columns of the terminal. */
  readonly width: number
}

/** Something in the options that is not there, in one line for whoever typed it. */
export class LabUsageError extends Error {}

/** Runs arms over workloads and reports. Throws LabUsageError before anything runs. */
export async function labRun(options: LabRunOptions, output: LabOutput): Promise<void> {
  const { loads, rate, seeds, hindsight, tuningSeeds, warmUpS, seconds } = options
  const counts = { reported: seeds, searched: hindsight ? tuningSeeds : 0 }
  await withPool(options, counts, async ({ catalogue, pool }) => {
    const choice = chosen(options, catalogue)
    checkUnits(choice.workloads, rate)
    for (const each of choice.workloads) checkRecording(options, each, rate ?? Math.max(...loads) * each.load)
    const setup = {
      ...choice,
      seeds: reportedSeeds(seeds),
      loads,
      rate,
      ...(hindsight ? { tuningSeeds: searchedSeeds(tuningSeeds) } : {}),
      warmUpMs: warmUpS * 1e3,
      measuredMs: seconds * 1e3,
    }
    const comparison = await compare(setup, {
      runner: pool,
      progress: new LabProgress(output.progress, systemClock()),
      onColumn: (column) => printOver(output, columnText(column, output.width)),
    })
    printOver(output, regretText(comparison, output.width))
    writeReport(options, output, { name: 'report', json: comparison, page: comparisonPage(comparison) })
  })
}

/** Searches how much load arms carry and reports. Throws LabUsageError before anything runs. */
export async function labCapacity(options: LabCapacityOptions, output: LabOutput): Promise<void> {
  const { share, tolerance, seeds, warmUpS, seconds } = options
  await withPool(options, { reported: seeds, searched: 0 }, async ({ catalogue, pool }) => {
    const setup = {
      ...chosen(options, catalogue),
      seeds: reportedSeeds(seeds),
      share,
      tolerance,
      warmUpMs: warmUpS * 1e3,
      measuredMs: seconds * 1e3,
    }
    const capacities = await findCapacities(setup, {
      runner: pool,
      progress: new LabProgress(output.progress, systemClock()),
      onColumn: (column) => printOver(output, capacityText(column, share, output.width)),
    })
    writeReport(options, output, { name: 'capacity', json: capacities, page: capacityPage(capacities) })
  })
}

/** The workloads and arms there are, for a terminal. */
export function labList(): string {
  const { workloads } = catalogueOf({
    trace: undefined,
    counts: { searched: 0, reported: 1 },
    engines: undefined,
    preset: undefined,
  })
  const line = ({ name, summary }: { readonly name: string; readonly summary: string }, about: string): string =>
    `  ${name.padEnd(18)} ${about.padEnd(26)} ${summary}`
  const parameters = ({ parameters: all = {} }: ArmDefinition): readonly string[] =>
    Object.entries(all).map(
      ([name, { value, grid, meaning }]) =>
        `${' '.repeat(21)}${`${name} ${value}`.padEnd(26)} ${meaning}${grid.length > 1 ? ` (tried: ${grid.join(', ')})` : ''}`,
    )
  return [
    'Workloads (default load):',
    ...workloads.map((each) => line(each, `${each.load} ${each.unit}`)),
    '',
    'Arms (kind), with their parameters:',
    ...arms.flatMap((each) => [line(each, each.kind), ...parameters(each)]),
    '',
    `Engines: ${Object.keys(enginePresets).join(', ')}`,
    '',
  ].join('\n')
}

/** What work on a laboratory is done with. */
interface Workshop {
  readonly catalogue: Catalogue
  readonly pool: LabPool
}

/** Checks the options, makes the folder for the report, starts the threads, and ends them whatever happens. */
export async function withPool(
  options: LabOptions,
  counts: SeedCounts,
  work: (workshop: Workshop) => Promise<void>,
): Promise<void> {
  const sources = { ...sourcesOf(options), counts }
  const catalogue = readCatalogue(sources)
  if (options.out !== undefined) makeFolder(options.out)
  const pool = startLabPool(options.jobs, sources)
  try {
    await work({ catalogue, pool })
  } catch (error) {
    throw error instanceof Fault && error.source === 'client' ? new LabUsageError(error.message) : error
  } finally {
    await pool.close()
  }
}

/** What the options say of where things come from. Throws a LabUsageError for an engine that is not there. */
export function sourcesOf({ trace, engines, preset }: LabOptions): Omit<LabSources, 'counts'> {
  const names = Object.keys(enginePresets) as PresetName[]
  const found =
    preset === undefined
      ? undefined
      : pick(
          'engine',
          names.map((name) => ({ name })),
          preset,
        ).name
  return { trace, engines, preset: found }
}

/** Reads workloads and arms. Throws a LabUsageError for a trace that cannot be read. */
export function readCatalogue(sources: LabSources): Catalogue {
  try {
    return catalogueOf(sources)
  } catch (error) {
    if (sources.trace === undefined || !(error instanceof Error)) throw error
    const why = systemReason(error)
    throw new LabUsageError(why === undefined ? error.message : `${sources.trace} ${why}`)
  }
}

/** Before anything runs, so that no result is lost for want of a place. */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true })
    accessSync(path, constants.W_OK)
  } catch (error) {
    throw new LabUsageError(`--out ${path} ${systemReason(error) ?? 'cannot be written'}`)
  }
}

const systemReasons: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  EACCES: 'is not open to this user',
  EPERM: 'is not open to this user',
  EROFS: 'is on a file system that cannot be written',
  EISDIR: 'is a directory',
  EEXIST: 'is a file',
  ENOTDIR: 'has a file where its path needs a directory',
  ENOSPC: 'has no space left',
}

/** What the system says of a path, in words that follow it; undefined of other errors. */
export function systemReason(error: unknown): string | undefined {
  const { code } = error as { readonly code?: unknown }
  return typeof code === 'string' ? (systemReasons[code] ?? `cannot be used (${code})`) : undefined
}

/** Throws when one load stands for different things. */
function checkUnits(workloads: readonly WorkloadDefinition[], rate: number | undefined): void {
  const units = [...new Set(workloads.map(({ unit }) => unit))]
  if (rate === undefined || units.length === 1) return
  throw new LabUsageError(`--rate ${rate} is ${units.join(', or ')}: name workloads of one unit, or use --loads`)
}

/** Throws when a recording leaves too little for a run at this speed. */
export function checkRecording(
  { warmUpS, seconds, seeds }: LabOptions,
  { name, recording }: WorkloadDefinition,
  speed: number,
): void {
  const partS = (recording?.lengthMs ?? Number.POSITIVE_INFINITY) / 1e3 / speed
  if (partS >= warmUpS + seconds) return
  if (recording?.isSame === true) {
    if (partS > warmUpS) return
    throw new LabUsageError(`${name} is over after ${partS.toFixed(1)} s at this speed, before --warm-up ${warmUpS} is`)
  }
  throw new LabUsageError(
    `the trace is too short: cut into a part for every seed (--seeds ${seeds} and those of a search), each is ` +
      `${partS.toFixed(1)} s at this speed, and a run is ${warmUpS + seconds} s (--warm-up ${warmUpS}, --seconds ${seconds})`,
  )
}

function chosen(
  { workloads, arms: names }: LabChoice,
  catalogue: Catalogue,
): { readonly workloads: readonly WorkloadDefinition[]; readonly arms: readonly ArmDefinition[] } {
  const named = names?.flatMap((name) => {
    const ofKind = catalogue.arms.filter(({ kind }) => kind === name)
    return ofKind.length > 0 ? ofKind : [pick('arm', catalogue.arms, name)]
  })
  return { workloads: chosenWorkloads(workloads, catalogue), arms: [...new Set(named ?? catalogue.arms)] }
}

/** The workloads with these names; without names the trace alone when there is one, else all. */
export function chosenWorkloads(
  names: readonly string[] | undefined,
  { workloads }: Catalogue,
): readonly WorkloadDefinition[] {
  const trace = workloads.filter(({ name }) => name === 'trace')
  if (names === undefined) return trace.length > 0 ? trace : workloads
  return [...new Set(names.map((name) => pick('workload', workloads, name)))]
}

/** The one with this name. Throws a LabUsageError that names the nearest one. */
export function pick<T extends { readonly name: string }>(what: string, all: readonly T[], name: string): T {
  const found = all.find((each) => each.name === name)
  if (found !== undefined) return found
  const known = all.map((each) => each.name)
  const [near] = nearNames(name, known, { limit: 1, maxCandidates: 200, maxLength: 40 })
  const hint = near === undefined ? `there are ${known.join(', ')}` : `did you mean ${near}?`
  throw new LabUsageError(`no ${what} is named '${name}': ${hint}`)
}

/** Prints where the line about progress was. */
export function printOver({ progress, print }: LabOutput, text: string): void {
  progress('')
  print(text)
}

interface Report {
  readonly name: string
  readonly json: object
  readonly page: string
}

/** Writes both files of a report where the options say so. */
export function writeReport({ out }: Pick<LabOptions, 'out'>, output: LabOutput, { name, json, page }: Report): void {
  if (out === undefined) return
  const files = [join(out, `${name}.json`), join(out, `${name}.html`)] as const
  writeFileSync(files[0], reportJson(json))
  writeFileSync(files[1], page)
  output.print(`wrote ${files[0]} and ${files[1]}\n`)
}
