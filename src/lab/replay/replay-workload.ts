import type { Arrival } from '#lab/virtual-fleet.ts'
import { length, rngOf } from '#lab/workload/draws.ts'
import { arrivalOf, segment, segmentKind } from '#lab/workload/prompt.ts'
import type { Workload, WorkloadDefinition, WorkloadSetup } from '#lab/workload/workload.ts'
import { markedBlocks } from '#schedule/prompt-marks.ts'
import type { Segment } from '#sim/model/block-hash.ts'
import type { PresetName } from '#sim/model/presets.ts'
import type { RecordedRequest } from './decisions.ts'

/** Of a replay, what records do not say. */
export interface ReplaySetup {
  readonly engines: number
  readonly preset: PresetName
  /** Mean tokens of an answer, where the request allows as many: decisions are recorded before the answer. */
  readonly outputTokens: number
}

/** As answers of other workloads are spread (workload/shapes.ts). */
const outputSpread = 0.7

/** Gives equal beginnings of prompts equal numbers. */
class Beginnings {
  readonly #numbers = new Map<string, number>()

  /** The number of what follows a beginning (0: nothing) and ends in this hash. */
  after(before: number, hash: number): number {
    const key = `${before} ${hash}`
    const number = this.#numbers.get(key) ?? this.#numbers.size + 1
    this.#numbers.set(key, number)
    return number
  }
}

/** The prompt as segments: one for each stretch between two marks, and what follows the last one, which nobody else has. */
function promptOf(
  { promptTokens, model, marks }: RecordedRequest,
  beginnings: Beginnings,
  own: number,
): { readonly prompt: readonly Segment[]; readonly group: number } {
  const prompt: Segment[] = []
  let number = 0
  let done = 0
  let group = own
  for (const [i, blocks] of markedBlocks(marks?.blocks ?? 0).entries()) {
    const hash = marks?.hashes[i]
    const end = Math.min(promptTokens - 1, blocks * (marks?.blockTokens ?? 0))
    if (hash === undefined || end <= done) break
    number = beginnings.after(number, i === 0 ? hashOfName(model) ^ hash : hash)
    prompt.push(segment(segmentKind.trace, number, end - done))
    if (i === 0) group = number
    done = end
  }
  prompt.push(segment(segmentKind.question, own, promptTokens - done))
  return { prompt, group }
}

/** Hashes of chains are the model's own already, but for those of a producer that leaves it out. */
function hashOfName(name: string): number {
  let hash = 0
  for (let i = 0; i < name.length; i++) hash = (Math.imul(hash, 31) + name.charCodeAt(i)) | 0
  return hash
}

function arrivalsOf(
  requests: readonly RecordedRequest[],
  { outputTokens }: ReplaySetup,
  { seed, load, blockSize }: WorkloadSetup,
): readonly Arrival[] {
  const rng = rngOf(seed, 6)
  const beginnings = new Beginnings()
  const adapters = new Map<string, number>()
  const startMs = requests[0]?.atWallMs ?? 0
  return requests.map((request, own) => {
    const { atWallMs, maxTokens = Number.MAX_SAFE_INTEGER, hasAdapter, model } = request
    const drawn = length(rng, { mean: outputTokens, spread: outputSpread, least: 1, most: 100 * outputTokens })
    if (hasAdapter && !adapters.has(model)) adapters.set(model, adapters.size)
    const adapter = hasAdapter ? adapters.get(model) : undefined
    return arrivalOf({
      atMs: (atWallMs - startMs) / load,
      ...promptOf(request, beginnings, own),
      answer: segment(segmentKind.answer, own, Math.max(1, Math.min(drawn, maxTokens))),
      blockSize,
      ...(adapter === undefined ? {} : { adapter }),
    })
  })
}

/** Recorded requests, in order of time, as a workload. `load` is how many times faster than recorded. */
export function replayWorkload(requests: readonly RecordedRequest[], setup: ReplaySetup): WorkloadDefinition {
  const lengthMs = (requests.at(-1)?.atWallMs ?? 0) - (requests[0]?.atWallMs ?? 0)
  return {
    name: 'recorded',
    code: 'replay',
    summary: `${requests.length} requests in ${(lengthMs / 1e3).toFixed(0)} s, recorded by a gateway`,
    unit: 'times as fast',
    load: 1,
    preset: setup.preset,
    engines: setup.engines,
    // One millisecond more, so that the last request is in it.
    recording: { lengthMs: lengthMs + 1, isSame: true },
    create: (run): Workload => ({ arrivals: arrivalsOf(requests, setup, run) }),
  }
}
