import type { ArmDefinition, ArmValues } from '#lab/arm.ts'
import { bestInHindsight } from '#lab/hindsight.ts'
import { type Progress, type Runner, type RunTask, runAll } from '#lab/task.ts'
import { type AcceptanceColumn, constantsColumns } from './columns.ts'
import { figuresOf, type Row } from './rows.ts'

/** Arms whose constants are another's: they run on `constantsColumns` only. */
export const scaledArms: readonly string[] = ['gateway-doubled', 'gateway-halved']

/** What is run. */
export interface Evaluation {
  readonly columns: readonly AcceptanceColumn[]
  /** Arms that run everywhere but where a column has its own, and `scaledArms`. */
  readonly arms: readonly ArmDefinition[]
  /** Those of them that run with the first seed only. */
  readonly briefly: readonly string[]
  /** Those of them that also run at their best setting for each column of the reference, found on `tuningSeeds`. */
  readonly hindsight: readonly string[]
  readonly tuningSeeds: readonly number[]
  readonly seeds: readonly number[]
  readonly warmUpMs: number
  readonly measuredMs: number
}

/** What an evaluation works with. */
export interface EvaluationPorts {
  readonly runner: Runner
  readonly progress: Progress
}

/** What marks an arm at its best setting. */
export const hindsightMark = '*'

interface Line {
  readonly label: string
  readonly name: string
  readonly values?: ArmValues
  readonly isBrief: boolean
}

/** Runs everything; rows are in the order of columns, arms and seeds, whatever runs at the same time. */
export async function evaluate(evaluation: Evaluation, ports: EvaluationPorts): Promise<readonly Row[]> {
  const rows = await Promise.all(evaluation.columns.map((column) => rowsOf(column, evaluation, ports)))
  return rows.flat()
}

/** Whether an arm runs on a column. */
function runsOn({ name }: ArmDefinition, { title, only }: AcceptanceColumn): boolean {
  if (only !== undefined) return only.includes(name)
  return !scaledArms.includes(name) || constantsColumns.includes(title)
}

async function rowsOf(
  column: AcceptanceColumn,
  { arms, briefly, hindsight, tuningSeeds, seeds, warmUpMs, measuredMs }: Evaluation,
  { runner, progress }: EvaluationPorts,
): Promise<readonly Row[]> {
  const { workload, load, title, window = { warmUpMs, measuredMs } } = column
  const frame = { workload, load, ...window }
  const chosen = arms.filter((arm) => runsOn(arm, column))
  const searched = column.isReference ? chosen.filter(({ name }) => hindsight.includes(name)) : []
  const published = chosen.map(({ name }) => ({ label: name, name, isBrief: briefly.includes(name) }))
  const first = runLines(title, published, { frame, seeds, runner, progress })
  const tuned = await Promise.all(
    searched.map(async (arm) => {
      const values = await bestInHindsight({ arm, frame, seeds: tuningSeeds }, runner, progress)
      return { label: `${arm.name}${hindsightMark}`, name: arm.name, values, isBrief: false }
    }),
  )
  const second = await runLines(title, tuned, { frame, seeds, runner, progress })
  return [...(await first), ...second]
}

interface LineRuns extends EvaluationPorts {
  readonly frame: Omit<RunTask, 'arm' | 'seed'>
  readonly seeds: readonly number[]
}

async function runLines(
  column: string,
  lines: readonly Line[],
  { frame, seeds, runner, progress }: LineRuns,
): Promise<readonly Row[]> {
  const wanted = lines.flatMap((line) => (line.isBrief ? seeds.slice(0, 1) : seeds).map((seed) => ({ line, seed })))
  const tasks = wanted.map(({ line: { name, values }, seed }) => {
    const arm = values === undefined || Object.keys(values).length === 0 ? { name } : { name, values }
    return { ...frame, seed, arm }
  })
  const runs = await runAll(tasks, runner, progress)
  return wanted.flatMap(({ line, seed }, i) => {
    const metrics = runs[i]
    if (metrics === undefined) return []
    const values = line.values === undefined ? {} : { values: line.values }
    return [{ column, arm: line.label, seed, ...values, figures: figuresOf(metrics) }]
  })
}
