import { readFileSync } from 'node:fs'
import { acceptanceWorkloads } from '#lab/acceptance/workloads.ts'
import { arms } from '#lab/arm-table.ts'
import { ownVariants } from '#lab/arms/own-variants.ts'
import type { SeedCounts } from '#lab/seeds.ts'
import type { Catalogue } from '#lab/task.ts'
import { traceInParts } from '#lab/workload/trace-parts.ts'
import type { WorkloadDefinition } from '#lab/workload/workload.ts'
import { workloads } from '#lab/workload-table.ts'
import type { PresetName } from '#sim/model/presets.ts'

/** What a laboratory works with besides what comes with it, as plain data that a thread can be given. */
export interface LabSources {
  /** A recorded trace: the workload `trace`. */
  readonly trace: string | undefined
  /** Into how many parts a trace is cut. */
  readonly counts: SeedCounts
  /** Instead of the fleet of every workload. */
  readonly engines: number | undefined
  readonly preset: PresetName | undefined
  /** Whether also with the workloads and arms of the acceptance report. */
  readonly forAcceptance?: boolean
}

const tracesFolder = new URL('../../bench/traces/', import.meta.url)

/** Reads what the names of tasks stand for. Throws a TraceError, or what the system says of a file. */
export function catalogueOf({ trace, counts, engines, preset, forAcceptance = false }: LabSources): Catalogue {
  const parts = trace === undefined ? [] : [traceInParts(trace, readFileSync(trace, 'utf8'), counts)]
  const onFleet = (workload: WorkloadDefinition): WorkloadDefinition => ({
    ...workload,
    engines: engines ?? workload.engines,
    preset: preset ?? workload.preset,
  })
  return {
    arms: forAcceptance ? [...arms, ...ownVariants] : arms,
    workloads: [...workloads, ...(forAcceptance ? acceptanceWorkloads : []), ...parts].map(onFleet),
    readTrace: (file) => readFileSync(new URL(file, tracesFolder), 'utf8'),
  }
}
