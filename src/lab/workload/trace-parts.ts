import { partOf, type SeedCounts } from '#lab/seeds.ts'
import { replay, workloadFromTrace } from './trace.ts'
import { parseTrace, type TraceRequest } from './trace-file.ts'
import type { WorkloadDefinition } from './workload.ts'

/**
 * A workload that replays another part of a recording for every seed: parts of equal time, as many as there are seeds. So seeds
 * are different requests, and what a search found is judged on traffic that it has not seen. Throws a TraceError.
 */
export function traceInParts(file: string, text: string, counts: SeedCounts): WorkloadDefinition {
  const whole = workloadFromTrace(file, text)
  const trace = parseTrace(file, text)
  const total = counts.searched + counts.reported
  // One millisecond more, so that the last request is in the last part.
  const partMs = ((trace.requests.at(-1)?.atMs ?? 0) + 1) / total
  const parts = Array.from({ length: total }, (_, part) => fromFirst(requestsOf(trace.requests, part, partMs)))
  const summary = total === 1 ? whole.summary : `${whole.summary}, in ${total} parts, one for each seed`
  return {
    ...whole,
    summary,
    recording: { lengthMs: partMs, isSame: false },
    create: (setup) => replay({ ...trace, requests: parts[partOf(setup.seed, counts)] ?? [] }, setup),
  }
}

function requestsOf(requests: readonly TraceRequest[], part: number, partMs: number): readonly TraceRequest[] {
  return requests.filter(({ atMs }) => Math.floor(atMs / partMs) === part)
}

/** Times from the first request on: a multiple of the recording's own step of time stays one. */
function fromFirst(requests: readonly TraceRequest[]): readonly TraceRequest[] {
  const firstMs = requests[0]?.atMs ?? 0
  return requests.map((request) => ({ ...request, atMs: request.atMs - firstMs }))
}
