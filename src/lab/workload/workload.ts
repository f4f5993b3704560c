import type { Incident } from '#lab/incident.ts'
import type { Arrival } from '#lab/virtual-fleet.ts'
import type { EngineSettings } from '#sim/model/engine-settings.ts'
import type { PresetName } from '#sim/model/presets.ts'

/** The requests of one run. The same setup gives the same requests, whatever becomes of those before. */
export interface Workload {
  /** Those whose time is known from the start, in order of time; read once, as far as the run goes. */
  readonly arrivals: Iterable<Arrival>
  /** What the end of a request brings, later than it; also of one that failed for good. */
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

/** What is measured of a run: arrivals between these times. */
export interface RunWindow {
  readonly warmUpMs: number
  readonly endMs: number
}

/** What a seed replays of a recording. */
export interface Recording {
  /** As recorded: at a load of n it is over n times as soon. */
  readonly lengthMs: number
  /** Whether every seed replays the same, so that intervals are about this traffic and no other. */
  readonly isSame: boolean
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
  /** What an engine is, where it is not the plain preset. */
  readonly engineOf?: (settings: EngineSettings, index: number) => EngineSettings
  /** What happens to the fleet. */
  readonly incidents?: (window: RunWindow) => readonly Incident[]
  /** Engines that are not there until they start. */
  readonly absent?: readonly number[]
  /** Gateways, each with a scheduler of its own that knows of its own requests only; 1 by default. */
  readonly gateways?: number
  /** Where it replays one. */
  readonly recording?: Recording
  create(setup: WorkloadSetup): Workload
}
