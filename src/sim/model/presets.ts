import type { StepCost } from './step-time.ts'

/** A model on an accelerator: what its steps cost and how much it remembers. */
export interface EnginePreset {
  readonly name: string
  readonly cost: StepCost
  /** Tokens of KV cache of one rank. */
  readonly kvTokens: number
  /** Bytes of keys and values per token, over all accelerators of the rank. */
  readonly kvBytesPerToken: number
  readonly maxNumSeqs: number
  readonly maxBatchedTokens: number
  /** Where the numbers come from; A1 to A10 are the anchors of model-servers.md 6.1. */
  readonly source: string
}

const gibibyte = 2 ** 30

/** What {@link kvCapacityTokens} is computed from. */
export interface KvCapacity {
  readonly memoryGiB: number
  /** Accelerators of one rank (tensor parallelism). */
  readonly accelerators: number
  /** Parameters of the model, at two bytes each. */
  readonly parameters: number
  readonly kvBytesPerToken: number
  /** Part of the memory the engine may use; 0.9 is vLLM's default. */
  readonly utilization?: number
}

/**
 * Tokens of KV cache that fit beside the weights, by the formula of model-servers.md 6.2: usable memory less weights, 5.5 GiB
 * of activations and what the libraries take (0.15 GiB on one accelerator, 0.6 GiB each on several).
 */
export function kvCapacityTokens(capacity: KvCapacity): number {
  const { memoryGiB, accelerators, parameters, kvBytesPerToken, utilization = 0.9 } = capacity
  const librariesGiB = accelerators === 1 ? 0.15 : 0.6 * accelerators
  const usableGiB = utilization * memoryGiB * accelerators - (parameters * 2) / gibibyte - 5.5 - librariesGiB
  return Math.max(0, Math.floor((usableGiB * gibibyte) / kvBytesPerToken))
}

const llama8b = { parameters: 8.03e9, kvBytesPerToken: 128 * 1024 }
const llama70b = { parameters: 70.55e9, kvBytesPerToken: 320 * 1024 }
const serverLimits = { maxNumSeqs: 256, maxBatchedTokens: 8192 }
const smallLimits = { maxNumSeqs: 256, maxBatchedTokens: 2048 }

/** The model and accelerator pairs that the reference has coefficients for, or that follow from it as their source says. */
export const enginePresets = {
  'llama-8b-h100': {
    name: 'Llama-3.1-8B, 1 x H100-80GB',
    cost: {
      fixedMs: 0.8,
      weightsMs: 5.9,
      perTokenUs: 22,
      perContextTokenNs: 39,
      perPairNs: 1.06,
      perSequenceUs: 5,
    },
    kvTokens: kvCapacityTokens({ ...llama8b, memoryGiB: 80, accelerators: 1 }),
    kvBytesPerToken: llama8b.kvBytesPerToken,
    ...serverLimits,
    source: 'model-servers.md 6.3 (A1); KV by 6.2',
  },
  'qwen3-32b-2xh100': {
    name: 'Qwen3-32B, 2 x H100-80GB',
    cost: {
      fixedMs: 1.5,
      weightsMs: 12.9,
      perTokenUs: 52.5,
      perContextTokenNs: 39,
      perPairNs: 2.1,
      perSequenceUs: 5,
    },
    kvTokens: 307_328,
    kvBytesPerToken: 256 * 1024,
    ...serverLimits,
    source: 'model-servers.md 6.3 (A2); KV as measured (A9)',
  },
  'llama-70b-4xh100': {
    name: 'Llama-3.x-70B, 4 x H100-80GB',
    cost: {
      fixedMs: 1.5,
      weightsMs: 14.5,
      perTokenUs: 56,
      perContextTokenNs: 24.5,
      perPairNs: 1.32,
      perSequenceUs: 5,
    },
    kvTokens: kvCapacityTokens({ ...llama70b, memoryGiB: 80, accelerators: 4 }),
    kvBytesPerToken: llama70b.kvBytesPerToken,
    ...serverLimits,
    source: 'model-servers.md 6.3 (A2), the fast end of its range for the all-reduce; KV by 6.2',
  },
  'llama-70b-8xh100': {
    name: 'Llama-3.x-70B, 8 x H100-80GB',
    cost: {
      fixedMs: 2,
      weightsMs: 8.4,
      perTokenUs: 31,
      perContextTokenNs: 12.2,
      perPairNs: 0.66,
      perSequenceUs: 5,
    },
    kvTokens: kvCapacityTokens({ ...llama70b, memoryGiB: 80, accelerators: 8 }),
    kvBytesPerToken: llama70b.kvBytesPerToken,
    ...serverLimits,
    source: 'model-servers.md 6.3 (A2), the fast end of its range for the all-reduce; KV by 6.2',
  },
  'llama-8b-a100': {
    name: 'Llama-3.1-8B, 1 x A100-80GB',
    cost: {
      fixedMs: 0.8,
      weightsMs: 9.8,
      perTokenUs: 71.3,
      perContextTokenNs: 64,
      perPairNs: 3.36,
      perSequenceUs: 5,
    },
    kvTokens: kvCapacityTokens({ ...llama8b, memoryGiB: 80, accelerators: 1 }),
    kvBytesPerToken: llama8b.kvBytesPerToken,
    ...serverLimits,
    source: 'A3 (floor 9.8 ms, 2,048 tokens in 146 ms); KV read at 2,039 GB/s, attention at half of 312 TFLOP/s',
  },
  'llama-8b-a100-40gb': {
    name: 'Llama-3.1-8B, 1 x A100-40GB',
    cost: {
      fixedMs: 0.8,
      weightsMs: 12.85,
      perTokenUs: 71.3,
      perContextTokenNs: 84,
      perPairNs: 3.36,
      perSequenceUs: 5,
    },
    kvTokens: kvCapacityTokens({ ...llama8b, memoryGiB: 40, accelerators: 1 }),
    kvBytesPerToken: llama8b.kvBytesPerToken,
    ...smallLimits,
    source: 'A3 with what reads memory scaled to 1,555 GB/s; checked against A8',
  },
  'llama-70b-4xa100': {
    name: 'Llama-3.x-70B, 4 x A100-80GB',
    cost: {
      fixedMs: 1.5,
      weightsMs: 25,
      perTokenUs: 162,
      perContextTokenNs: 40,
      perPairNs: 4.2,
      perSequenceUs: 5,
    },
    kvTokens: kvCapacityTokens({ ...llama70b, memoryGiB: 80, accelerators: 4 }),
    kvBytesPerToken: llama70b.kvBytesPerToken,
    ...serverLimits,
    source: 'A3 (floor 25 ms, 4,096 tokens in 665 ms); the rest as for the 8B model',
  },
  'llama-8b-l4': {
    name: 'Llama-3.1-8B, 1 x L4-24GB',
    cost: {
      fixedMs: 0.8,
      weightsMs: 66.9,
      perTokenUs: 184,
      perContextTokenNs: 437,
      perPairNs: 8.67,
      perSequenceUs: 5,
    },
    kvTokens: 31_232,
    kvBytesPerToken: llama8b.kvBytesPerToken,
    ...smallLimits,
    source: 'A3 scaled by the data sheets (300 of 2,039 GB/s, 121 of 312 TFLOP/s); KV of another 24 GB card (A10)',
  },
} as const satisfies Readonly<Record<string, EnginePreset>>

export type PresetName = keyof typeof enginePresets
