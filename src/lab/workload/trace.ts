import { rngOf } from './draws.ts'
import { arrivalOf, segment, segmentKind } from './prompt.ts'
import type { Workload, WorkloadSetup } from './workload.ts'

/** One request of a trace in Mooncake's form (model-servers.md 4.1). */
export interface TraceRequest {
  readonly timestampMs: number
  readonly inputTokens: number
  readonly outputTokens: number
  /** One id per block of 512 tokens; the same id is the same block after the same prefix. */
  readonly blocks: readonly number[]
}

/** Tokens of a block of the trace. */
const traceBlockTokens = 512

/** The trace counts time in steps of three seconds; requests of a step are spread over it. */
const stepMs = 3_000

/** Reads lines of JSON; throws when one is not a request. */
export function parseTrace(text: string): readonly TraceRequest[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line, index) => {
      const { timestamp, input_length, output_length, hash_ids } = JSON.parse(line) as Record<string, unknown>
      const isRequest =
        typeof timestamp === 'number' &&
        typeof input_length === 'number' &&
        typeof output_length === 'number' &&
        Array.isArray(hash_ids) &&
        hash_ids.length === Math.ceil(input_length / traceBlockTokens)
      if (!isRequest) throw new RangeError(`line ${index + 1} of the trace is not a request`)
      return {
        timestampMs: timestamp,
        inputTokens: input_length,
        outputTokens: output_length,
        blocks: hash_ids as number[],
      }
    })
}

/** `load` is how many times faster than recorded; it ends with the trace. A group is what follows the common first block. */
export function replay(trace: readonly TraceRequest[], setup: WorkloadSetup): Workload {
  const { seed, load, blockSize } = setup
  const rng = rngOf(seed, 4)
  const spread = trace
    .map((request) => ({ request, atMs: (request.timestampMs + rng() * stepMs) / load }))
    .toSorted((a, b) => a.atMs - b.atMs)
  return {
    arrivals: {
      *[Symbol.iterator]() {
        for (const [number, { request, atMs }] of spread.entries()) {
          const { inputTokens, outputTokens, blocks } = request
          const prompt = blocks.map((id, i) =>
            segment(segmentKind.trace, id, Math.min(traceBlockTokens, inputTokens - i * traceBlockTokens)),
          )
          const answer = segment(segmentKind.answer, number, Math.max(1, outputTokens))
          yield arrivalOf({ atMs, group: blocks[1] ?? blocks[0] ?? 0, prompt, answer, blockSize })
        }
      },
    },
  }
}
