import { type Clock, systemClock } from '#core/clock.ts'
import { type KvEventOptions, type KvEventSettings, resolveKvEventOptions } from './kv-events/options.ts'
import type { LiveSettings } from './live-engine.ts'
import { type EngineRole, type EngineSettings, engineSettings } from './model/engine-settings.ts'
import { enginePresets, type PresetName } from './model/presets.ts'

/** The engines whose protocol and metrics page can be simulated. */
export type EngineName = 'vllm' | 'sglang' | 'tgi' | 'triton' | 'trtllm' | 'llamacpp'

/** What a simulated model server is made from; everything has a default. */
export interface SimOptions {
  readonly engine?: EngineName
  /** Address to listen on; default 127.0.0.1. */
  readonly host?: string
  /** Port to listen on; 0 (the default) lets the system choose. */
  readonly port?: number
  /** Served model names; the first is the base model, the rest are aliases of it. */
  readonly models?: readonly string[]
  /** LoRA adapters loaded from the start. */
  readonly adapters?: readonly string[]
  /**
   * A model on an accelerator: its steps take as long as there, its KV cache is as large. Without one every step takes `tpotMs`,
   * whatever it computes, and a first token comes no sooner than `ttftMs` after admission; `ttftMs` and `tpotMs` do not go
   * together with a preset.
   */
  readonly preset?: PresetName
  /**
   * Time from admission to the first token. Steps follow one another without a gap, so it can be up to two steps (`tpotMs`) more:
   * admission waits for the next step, and so does the prompt.
   */
  readonly ttftMs?: number
  /** Time between tokens of one request. */
  readonly tpotMs?: number
  /** Requests that may run at the same time; the rest wait in order of arrival. */
  readonly maxNumSeqs?: number
  /** Most tokens one step computes; longer prompts are computed in chunks. */
  readonly maxBatchedTokens?: number
  /** `priority`: requests with a lower `priority` in their body go first. */
  readonly scheduling?: EngineSettings['scheduling']
  /** Distinct adapters that may run at the same time. */
  readonly maxLoras?: number
  /** What loading an adapter adds to the step that first needs it. */
  readonly adapterLoadMs?: number
  /** Requests in the engine, running ones included, above which new ones are refused; unset means no limit. */
  readonly maxQueuedReqs?: number
  /** KV blocks of one rank. */
  readonly kvBlocks?: number
  /** Tokens in one KV block. */
  readonly blockSize?: number
  /** Data-parallel ranks behind the one address, each with queue, sequences and KV blocks of its own. */
  readonly ranks?: number
  /** `prefill`: every answer is one token, and its blocks are held for a decoding engine. */
  readonly role?: EngineRole
  /** Settings of the engine model that have no option of their own. */
  readonly model?: Partial<
    Pick<EngineSettings, 'cost' | 'frontEndMs' | 'transferStartMs' | 'transferPerTokenUs' | 'holdMs'>
  >
  /**
   * How many times faster than real the fleet's time goes: with 10, a token every 10 ms comes every millisecond. Durations the
   * server tells of (histograms, times in answers) are in the fleet's time, so that pages look as those of the real fleet;
   * points in time (`created`, when an adapter was last used) are real.
   */
  readonly timeFactor?: number
  /** Tokens in one event of a stream, but for the first and the rest at the end, as vLLM's `--stream-interval`; default 1. */
  readonly streamInterval?: number
  /**
   * Whether tokens that were made since the stream's last event (the process was busy, steps are shorter than timers) come in
   * one event, as they do from real engines. Default: with a preset they do, without one every token has its own event.
   */
  readonly mergesTokens?: boolean
  /** Greatest sum of prompt and output tokens; never more than the KV cache holds. */
  readonly maxModelLen?: number
  /** Output tokens of a request that names no limit. */
  readonly defaultTokens?: number
  /** The same seed gives the same answers to the same prompts. */
  readonly seed?: number
  /** When set, calls need it as a bearer token. */
  readonly apiKey?: string
  /** Whether `x-request-id` comes back in responses (vLLM's `--enable-request-id-headers`). */
  readonly echoRequestId?: boolean
  /** Which names a vLLM page has: those of now, or those of vLLM up to 0.8. */
  readonly vllmMetrics?: 'current' | 'old'
  /** Time between a client leaving and its request being aborted (SGLang takes about 2,000 ms; default 0). */
  readonly abortDelayMs?: number
  /** Publishes what happens to the KV blocks over ZeroMQ; unset means no events. */
  readonly kvEvents?: KvEventOptions
  readonly clock?: Clock
}

/** Options with every default filled in: nothing behind this checks for undefined. */
export interface SimSettings {
  readonly engine: EngineName
  readonly host: string
  readonly port: number
  readonly models: readonly string[]
  readonly baseModel: string
  readonly adapters: readonly string[]
  readonly maxLoras: number
  /** As the options say; a preset has no such fixed times, and then they are those of a lone short request. */
  readonly ttftMs: number
  readonly tpotMs: number
  readonly maxNumSeqs: number
  readonly maxQueuedReqs: number
  /** Of one rank. */
  readonly kvBlocks: number
  readonly blockSize: number
  readonly ranks: number
  readonly role: EngineRole
  readonly timeFactor: number
  readonly maxModelLen: number
  readonly defaultTokens: number
  readonly seed: number
  readonly apiKey: string | undefined
  readonly echoRequestId: boolean
  readonly vllmMetrics: 'current' | 'old'
  readonly abortDelayMs: number
  readonly kvEvents: KvEventSettings | undefined
  /** What the engine is made from. */
  readonly live: LiveSettings
}

/** The ports of a real server: the clock of this thread. */
export function realPorts(): { readonly clock: Clock } {
  return { clock: systemClock() }
}

/** What the options mean when they say nothing. */
const DEFAULTS = {
  engine: 'vllm',
  host: '127.0.0.1',
  port: 0,
  models: ['sim-model'],
  adapters: [],
  maxLoras: 4,
  maxQueuedReqs: Number.POSITIVE_INFINITY,
  ranks: 1,
  role: 'both',
  timeFactor: 1,
  streamInterval: 1,
  maxModelLen: 131_072,
  defaultTokens: 16,
  seed: 1,
  apiKey: undefined,
  echoRequestId: false,
  vllmMetrics: 'current',
  abortDelayMs: 0,
} as const

/** The same for an engine without a preset; the KV size is that of an 8 B model on one 80 GB accelerator. */
const SIMPLE_DEFAULTS = { ttftMs: 50, tpotMs: 10, maxNumSeqs: 256, kvBlocks: 27_881, blockSize: 16 } as const

/** More than any prompt: a simple engine reads prompts in one step. */
const NO_TOKEN_LIMIT = 2 ** 31 - 1

/** Fills in the defaults. Throws a RangeError that names the option whose value makes no sense. */
export function resolveSimOptions(options: SimOptions): SimSettings {
  const { clock: _, preset, model: __, mergesTokens, streamInterval, ...given } = options
  requirePreset(options)
  const engine = preset === undefined ? simpleEngine(options) : presetEngine(preset, options)
  const { ttftMs, tpotMs } = preset === undefined ? { ...SIMPLE_DEFAULTS, ...given } : loneTimes(engine)
  const { maxNumSeqs, kvBlocks, blockSize } = engine
  const merged = { ...DEFAULTS, ...given, ttftMs, tpotMs, maxNumSeqs, kvBlocks, blockSize }
  requireAtLeast(merged, 1, [
    'maxLoras',
    'maxNumSeqs',
    'kvBlocks',
    'blockSize',
    'maxModelLen',
    'defaultTokens',
    'ranks',
  ])
  requireAtLeast(merged, 0, ['ttftMs', 'tpotMs', 'abortDelayMs', 'port', 'seed'])
  requireAtLeast({ streamInterval: 1, ...options }, 1, ['streamInterval'])
  if (!(merged.timeFactor > 0 && Number.isFinite(merged.timeFactor))) throw new RangeError('timeFactor must be above 0')
  const baseModel = merged.models[0]
  if (baseModel === undefined) throw new RangeError('models must name at least one model')
  const clash = merged.adapters.find((name) => merged.models.includes(name))
  if (clash !== undefined) throw new RangeError(`adapter ${clash} has the name of a served model`)
  const live: LiveSettings = {
    model: engine,
    ranks: merged.ranks,
    timeFactor: merged.timeFactor,
    streamInterval: streamInterval ?? DEFAULTS.streamInterval,
    mergesTokens: mergesTokens ?? preset !== undefined,
  }
  const kvEvents = options.kvEvents && resolveKvEventOptions(options.kvEvents, merged)
  return { ...merged, baseModel, live, kvEvents, maxModelLen: Math.min(merged.maxModelLen, kvBlocks * blockSize) }
}

function requirePreset({ preset, ttftMs, tpotMs }: SimOptions): void {
  if (preset === undefined) return
  if (!Object.hasOwn(enginePresets, preset)) {
    throw new RangeError(`preset must be one of ${Object.keys(enginePresets).join(', ')}`)
  }
  if (ttftMs !== undefined || tpotMs !== undefined) throw new RangeError('a preset does not go with ttftMs or tpotMs')
}

/** Steps as the preset's, everything else as the options say. */
function presetEngine(preset: PresetName, options: SimOptions): EngineSettings {
  return engineSettings(preset, { maxAdapters: options.maxLoras ?? DEFAULTS.maxLoras, ...changesOf(options) })
}

/** Every step takes the same time, and prompts wait for theirs. */
function simpleEngine(options: SimOptions): EngineSettings {
  const { ttftMs, tpotMs, ...size } = { ...SIMPLE_DEFAULTS, ...changesOf(options), ...timesOf(options) }
  const free = { weightsMs: 0, perTokenUs: 0, perContextTokenNs: 0, perPairNs: 0, perSequenceUs: 0 }
  return engineSettings('llama-8b-h100', {
    cost: { fixedMs: tpotMs, ...free },
    frontEndMs: 0,
    promptDelayMs: Math.max(0, ttftMs - tpotMs),
    maxBatchedTokens: NO_TOKEN_LIMIT,
    maxAdapters: options.maxLoras ?? DEFAULTS.maxLoras,
    adapterLoadMs: 0,
    ...size,
  })
}

function timesOf({ ttftMs, tpotMs }: SimOptions): { readonly ttftMs?: number; readonly tpotMs?: number } {
  return { ...(ttftMs === undefined ? {} : { ttftMs }), ...(tpotMs === undefined ? {} : { tpotMs }) }
}

/** Options that are settings of the engine model, those that are set. */
function changesOf(options: SimOptions): Partial<EngineSettings> {
  const { kvBlocks, blockSize, maxNumSeqs, maxBatchedTokens, scheduling, adapterLoadMs, role, model } = options
  const changes = { kvBlocks, blockSize, maxNumSeqs, maxBatchedTokens, scheduling, adapterLoadMs, role, ...model }
  return Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined))
}

/** What a lone short request sees of a preset: a floor of its times. */
function loneTimes({ cost, frontEndMs }: EngineSettings): { readonly ttftMs: number; readonly tpotMs: number } {
  const tpotMs = cost.fixedMs + cost.weightsMs
  return { ttftMs: frontEndMs + tpotMs, tpotMs }
}

function requireAtLeast<T extends object>(options: T, least: number, names: readonly (keyof T & string)[]): void {
  for (const name of names) {
    const value = options[name]
    if (typeof value !== 'number' || !(value >= least)) throw new RangeError(`${name} must be at least ${least}`)
  }
}
