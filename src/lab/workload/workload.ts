import type { Arrival } from '#lab/virtual-fleet.ts'
import type { PresetName } from '#sim/model/presets.ts'

/** The requests of one run. The same setup gives the same requests, whatever becomes of those before. */
export interface Workload {
  /** Those whose time is known from the start, in order of time; read once, as far as the run goes. */
  readonly arrivals: Iterable<Arrival>
  /** What the end of a request brings, later than it. */
  onFinished?(arrival: Arrival, atMs: number): readonly Arrival[]
}

export interface WorkloadSetup {
  readonly seed: number
  /** In the unit of the workload. */
  readonly load: number
  /** Arrivals after this time are not used. */
  readonly endMs: number
  readonly blockSize: number
  /** The text of a trace file that belongs to the laboratory. */
  readonly readTrace: (file: string) => string
}

/** A workload that can be asked for by name. */
export interface WorkloadDefinition {
  /** Kebab-case. */
  readonly name: string
  /** Its number in the reference (routing-algorithms.md 8). */
  readonly code: string
  /** One line: what comes, and what it tries. */
  readonly summary: string
  /** What a load of 1 means. */
  readonly unit: string
  /** Default load, near the knee of a good arm on the default fleet. */
  readonly load: number
  readonly preset: PresetName
  readonly engines: number
  create(setup: WorkloadSetup): Workload
}
