import { type Clock, systemClock } from '#core/clock.ts'

/** The engines whose protocol and metrics page can be simulated. */
export type EngineName = 'vllm' | 'sglang' | 'tgi'

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
  /** Distinct adapters that may run at the same time. */
  readonly maxLoras?: number
  /** Time from admission to the first token. */
  readonly ttftMs?: number
  /** Time between tokens of one request. */
  readonly tpotMs?: number
  /** Requests that may run at the same time; the rest wait in order of arrival. */
  readonly maxNumSeqs?: number
  /** Running plus waiting requests above which new ones are refused; unset means no limit. */
  readonly maxQueuedReqs?: number
  readonly kvBlocks?: number
  /** Tokens in one KV block. */
  readonly blockSize?: number
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
  /** Time between a client leaving and its request being aborted (SGLang takes about 2,000 ms; default 0). */
  readonly abortDelayMs?: number
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
  readonly ttftMs: number
  readonly tpotMs: number
  readonly maxNumSeqs: number
  readonly maxQueuedReqs: number
  readonly kvBlocks: number
  readonly blockSize: number
  readonly maxModelLen: number
  readonly defaultTokens: number
  readonly seed: number
  readonly apiKey: string | undefined
  readonly echoRequestId: boolean
  readonly abortDelayMs: number
}

/** The ports of a real server: the clock of this thread. */
export function realPorts(): { readonly clock: Clock } {
  return { clock: systemClock() }
}

/** What the options mean when they say nothing; the KV size is that of an 8 B model on one 80 GB accelerator. */
const DEFAULTS = {
  engine: 'vllm',
  host: '127.0.0.1',
  port: 0,
  models: ['sim-model'],
  adapters: [],
  maxLoras: 4,
  ttftMs: 50,
  tpotMs: 10,
  maxNumSeqs: 256,
  maxQueuedReqs: Number.POSITIVE_INFINITY,
  kvBlocks: 27_881,
  blockSize: 16,
  maxModelLen: 131_072,
  defaultTokens: 16,
  seed: 1,
  apiKey: undefined,
  echoRequestId: false,
  abortDelayMs: 0,
} as const

/** Fills in the defaults. Throws a RangeError that names the option whose value makes no sense. */
export function resolveSimOptions({ clock: _, ...options }: SimOptions): SimSettings {
  const merged = { ...DEFAULTS, ...options }
  requireAtLeast(merged, 1, ['maxLoras', 'maxNumSeqs', 'kvBlocks', 'blockSize', 'maxModelLen', 'defaultTokens'])
  requireAtLeast(merged, 0, ['ttftMs', 'tpotMs', 'abortDelayMs', 'port', 'seed'])
  const baseModel = merged.models[0]
  if (baseModel === undefined) throw new RangeError('models must name at least one model')
  const clash = merged.adapters.find((name) => merged.models.includes(name))
  if (clash !== undefined) throw new RangeError(`adapter ${clash} has the name of a served model`)
  const capacityTokens = merged.kvBlocks * merged.blockSize
  return { ...merged, baseModel, maxModelLen: Math.min(merged.maxModelLen, capacityTokens) }
}

function requireAtLeast<T extends object>(options: T, least: number, names: readonly (keyof T & string)[]): void {
  for (const name of names) {
    const value = options[name]
    if (typeof value !== 'number' || !(value >= least)) throw new RangeError(`${name} must be at least ${least}`)
  }
}
