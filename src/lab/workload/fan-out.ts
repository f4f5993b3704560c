import type { Arrival } from '#lab/virtual-fleet.ts'
import { type Chat, chat } from './chat.ts'
import { type LengthDraw, length, rngOf } from './draws.ts'
import { arrivalOf, segment, segmentKind } from './prompt.ts'
import type { Workload, WorkloadSetup } from './workload.ts'

/** Conversations, and now and then many requests at once about one text that nobody has seen before. */
export interface FanOut {
  readonly chat: Chat
  readonly everyMs: number
  readonly requests: number
  /** The burst comes within this time. */
  readonly withinMs: number
  readonly leastPrefixTokens: number
  readonly mostPrefixTokens: number
  readonly questionTokens: LengthDraw
  readonly outputTokens: LengthDraw
}

/** Numbers of bursts' groups, questions and answers: far from those of conversations. */
const burstNumbers = 2 ** 25

function burst(shape: FanOut, setup: WorkloadSetup, number: number): readonly Arrival[] {
  const rng = rngOf(setup.seed, 500_000 + number)
  const { leastPrefixTokens: least, mostPrefixTokens: most } = shape
  const startMs = (number + 1) * shape.everyMs
  const group = burstNumbers + number
  const prefix = segment(segmentKind.prefix, group, Math.round(least + rng() * (most - least)))
  const times = Float64Array.from({ length: shape.requests }, () => startMs + rng() * shape.withinMs).toSorted()
  return Array.from(times, (atMs, i) => {
    const own = burstNumbers + number * shape.requests + i
    const question = segment(segmentKind.question, own, length(rng, shape.questionTokens))
    const answer = segment(segmentKind.answer, own, length(rng, shape.outputTokens))
    return arrivalOf({ atMs, group, prompt: [prefix, question], answer, blockSize: setup.blockSize })
  })
}

/** `load` is conversations begun per second; bursts come as often at any load. */
export function fanOut(shape: FanOut, setup: WorkloadSetup): Workload {
  const background = chat(shape.chat, setup)
  return {
    arrivals: {
      *[Symbol.iterator]() {
        let number = 0
        let waiting: readonly Arrival[] = burst(shape, setup, number)
        // A burst lasts a while: conversations begin between its requests.
        for (const arrival of background.arrivals) {
          while ((waiting[0]?.atMs ?? Number.POSITIVE_INFINITY) <= arrival.atMs) {
            const due = waiting.filter(({ atMs }) => atMs <= arrival.atMs)
            yield* due
            waiting = waiting.slice(due.length)
            if (waiting.length === 0) waiting = burst(shape, setup, ++number)
          }
          yield arrival
        }
      },
    },
    onFinished: (arrival, atMs) => background.onFinished?.(arrival, atMs) ?? [],
  }
}
