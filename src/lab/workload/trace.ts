import { rngOf } from './draws.ts'
import { arrivalOf, segment, segmentKind } from './prompt.ts'
import { parseTrace, type Trace, type TraceFormat, type TraceRequest, traceBlockTokens } from './trace-file.ts'
import type { Workload, WorkloadDefinition, WorkloadSetup } from './workload.ts'

/** Steps of time up to this long are taken for what they are: a trace that says when only so exactly. */
const leastStepMs = 1_000

/** The longest step that all times of a trace are multiples of: 3 s for Mooncake's, 0 for a trace with exact times. */
function timeStepMs(requests: readonly TraceRequest[]): number {
  const step = requests.reduce((divisor, { atMs }) => commonDivisor(divisor, atMs), 0)
  return step >= leastStepMs ? step : 0
}

function commonDivisor(a: number, b: number): number {
  if (!Number.isInteger(b)) return 1
  return b === 0 ? a : commonDivisor(b, a % b)
}

/** The first answer's number; block ids of a trace are counted from 0 in the order they first appear. */
function blockNumbers(requests: readonly TraceRequest[]): ReadonlyMap<number, number> {
  const numbers = new Map<number, number>()
  for (const { blocks } of requests) for (const id of blocks) if (!numbers.has(id)) numbers.set(id, numbers.size)
  return numbers
}

/**
 * `load` is how many times faster than recorded; it ends with the trace. A group is what follows the common first block.
 * Requests of a step of time are spread over it. Prompts of a trace without blocks share nothing.
 */
export function replay({ requests }: Trace, setup: WorkloadSetup): Workload {
  const { seed, load, blockSize } = setup
  const rng = rngOf(seed, 4)
  const stepMs = timeStepMs(requests)
  const numbers = blockNumbers(requests)
  const spread = requests
    .map((request) => ({ request, atMs: (request.atMs + rng() * stepMs) / load }))
    .toSorted((a, b) => a.atMs - b.atMs)
  return {
    arrivals: {
      *[Symbol.iterator]() {
        for (const [number, { request, atMs }] of spread.entries()) {
          const { inputTokens, outputTokens, blocks } = request
          const known = blocks.map((id, i) =>
            segment(
              segmentKind.trace,
              numbers.get(id) ?? 0,
              Math.min(traceBlockTokens, inputTokens - i * traceBlockTokens),
            ),
          )
          const prompt = known.length > 0 ? known : [segment(segmentKind.question, number, inputTokens)]
          const answer = segment(segmentKind.answer, number, Math.max(1, outputTokens))
          const group = blocks.length > 0 ? (blocks[1] ?? blocks[0] ?? 0) : number
          yield arrivalOf({ atMs, group, prompt, answer, blockSize })
        }
      },
    },
  }
}

/** What a trace of each format is replayed on. */
const fleets = {
  mooncake: { preset: 'llama-70b-8xh100', engines: 8 },
  azure: { preset: 'qwen3-32b-2xh100', engines: 8 },
} as const satisfies Readonly<Record<TraceFormat, Pick<WorkloadDefinition, 'preset' | 'engines'>>>

/**
 * A workload that replays a trace file, at its own pace unless a load says otherwise: see `parseTrace` for the formats.
 * Mooncake's on eight engines of a 70B model with long prompts, Azure's on eight of Qwen3-32B. Throws a TraceError.
 */
export function workloadFromTrace(file: string, text: string, format?: TraceFormat): WorkloadDefinition {
  const trace = parseTrace(file, text, format)
  const seconds = (trace.requests.at(-1)?.atMs ?? 0) / 1e3
  return {
    ...fleets[trace.format],
    name: 'trace',
    code: 'trace',
    summary: `${trace.requests.length} requests in ${seconds.toFixed(0)} s, replayed from ${file} (${trace.format})`,
    unit: 'times as fast',
    load: 1,
    create: (setup) => replay(trace, setup),
  }
}
