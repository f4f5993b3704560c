import { type EnginePreset, enginePresets, type PresetName } from './presets.ts'
import type { StepCost } from './step-time.ts'

/** Whether an engine does both phases of a request, or only one of them for another engine. */
export type EngineRole = 'both' | 'prefill' | 'decode'

/** Everything one rank of a simulated engine is made of. */
export interface EngineSettings {
  readonly cost: StepCost
  readonly kvBlocks: number
  /** Tokens in one KV block. */
  readonly blockSize: number
  /** Most requests that run at the same time. */
  readonly maxNumSeqs: number
  /** Most tokens one step computes; longer prompts are computed in chunks. */
  readonly maxBatchedTokens: number
  /** `priority`: lower numbers are admitted first and preempted last, equal ones in order of arrival. */
  readonly scheduling: 'fcfs' | 'priority'
  /** Time in the front end (HTTP, tokenizer) before the scheduler sees a request. */
  readonly frontEndMs: number
  /**
   * What passes at least between a request's admission and the step that computes its prompt; it has its place and its blocks
   * meanwhile. 0 for real engines: it gives a simple simulator a time to the first token that does not depend on load.
   */
  readonly promptDelayMs: number
  /** Distinct adapters that may run at the same time; as many stay loaded. */
  readonly maxAdapters: number
  /** What loading an adapter adds to the step that first needs it. */
  readonly adapterLoadMs: number
  /** `prefill`: every request ends after its first token and its blocks are held for the decoding engine. */
  readonly role: EngineRole
  /** Fetching KV from a prefill engine: a start-up time, then tokens one after the other over one link. */
  readonly transferStartMs: number
  readonly transferPerTokenUs: number
  /** How long held blocks wait for their {@link EngineModel.releaseHeld}. */
  readonly holdMs: number
}

/** What a preset leaves open, with the defaults of vLLM where it has one. */
const defaults = {
  blockSize: 16,
  scheduling: 'fcfs',
  frontEndMs: 9,
  promptDelayMs: 0,
  maxAdapters: 1,
  adapterLoadMs: 10,
  role: 'both',
  transferStartMs: 2,
  holdMs: 30_000,
} as const

/** Bytes per microsecond of a 400 Gbit/s link between engines. */
const linkBytesPerUs = 50_000

/** The settings of a preset, with some of them replaced. */
export function engineSettings(preset: PresetName, changes: Partial<EngineSettings> = {}): EngineSettings {
  const found: EnginePreset = enginePresets[preset]
  const blockSize = changes.blockSize ?? defaults.blockSize
  return {
    ...defaults,
    cost: found.cost,
    kvBlocks: Math.floor(found.kvTokens / blockSize),
    maxNumSeqs: found.maxNumSeqs,
    maxBatchedTokens: found.maxBatchedTokens,
    transferPerTokenUs: found.kvBytesPerToken / linkBytesPerUs,
    ...changes,
  }
}
