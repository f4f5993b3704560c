import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { arms } from '#lab/arm-table.ts'
import { compare } from '#lab/comparison.ts'
import { columnText, comparisonHtml, comparisonJson, regretText } from '#lab/report.ts'
import { workloads } from '#lab/workload-table.ts'
import { nearNames } from '#struct/near-names.ts'

/** What `infer-gateway lab run` was asked for. */
export interface LabRunOptions {
  /** Names of workloads and arms; undefined is all of them. */
  readonly workloads: readonly string[] | undefined
  readonly arms: readonly string[] | undefined
  /** How many seeds, from 1 on. */
  readonly seeds: number
  /** Load in the unit of the workloads, instead of their own. */
  readonly rate: number | undefined
  readonly warmUpS: number
  readonly seconds: number
  /** Where report.json and report.html go; undefined writes none. */
  readonly out: string | undefined
}

/** Where output goes. */
export interface LabOutput {
  /** The report. */
  readonly print: (text: string) => void
  /** One line about how far it is, which replaces the one before. */
  readonly progress: (line: string) => void
}

/** Something in the options that is not there, in one line for whoever typed it. */
export class UnknownLabName extends Error {}

const tracesFolder = new URL('../../bench/traces/', import.meta.url)

/** Runs arms over workloads and reports. Throws UnknownLabName before anything runs. */
export async function labRun(options: LabRunOptions, { print, progress }: LabOutput): Promise<void> {
  const setup = {
    arms: named('arm', arms, options.arms),
    workloads: named('workload', workloads, options.workloads),
    seeds: Array.from({ length: options.seeds }, (_, i) => i + 1),
    load: options.rate,
    warmUpMs: options.warmUpS * 1e3,
    measuredMs: options.seconds * 1e3,
    readTrace: (file: string) => readFileSync(new URL(file, tracesFolder), 'utf8'),
  }
  const comparison = await compare(setup, {
    async beforeRun(done, total, what) {
      progress(`${done + 1} of ${total}  ${what}`)
      // Lets signals through between runs, each of which takes this thread for itself.
      await new Promise((resolve) => void setImmediate(resolve))
    },
    onColumn(column) {
      progress('')
      print(columnText(column))
    },
  })
  print(regretText(comparison))
  const { out } = options
  if (out === undefined) return
  mkdirSync(out, { recursive: true })
  writeFileSync(join(out, 'report.json'), comparisonJson(comparison))
  writeFileSync(join(out, 'report.html'), comparisonHtml(comparison))
  print(`wrote ${join(out, 'report.json')} and ${join(out, 'report.html')}\n`)
}

/** The workloads and arms there are, for a terminal. */
export function labList(): string {
  const line = ({ name, summary }: { readonly name: string; readonly summary: string }, about: string): string =>
    `  ${name.padEnd(14)} ${about.padEnd(28)} ${summary}`
  return [
    'Workloads (default load):',
    ...workloads.map((each) => line(each, `${each.load} ${each.unit}`)),
    'Arms:',
    ...arms.map((each) => line(each, each.kind)),
    '',
  ].join('\n')
}

function named<T extends { readonly name: string }>(
  what: string,
  all: readonly T[],
  names: readonly string[] | undefined,
): readonly T[] {
  if (names === undefined) return all
  return names.map((name) => {
    const found = all.find((each) => each.name === name)
    if (found !== undefined) return found
    const known = all.map((each) => each.name)
    const [near] = nearNames(name, known, { limit: 1, maxCandidates: 100, maxLength: 40 })
    const hint = near === undefined ? `there are ${known.join(', ')}` : `did you mean ${near}?`
    throw new UnknownLabName(`no ${what} is named '${name}': ${hint}`)
  })
}
