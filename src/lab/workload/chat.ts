import type { Arrival } from '#lab/virtual-fleet.ts'
import type { Segment } from '#sim/model/block-hash.ts'
import { exponential, type LengthDraw, length, rngOf } from './draws.ts'
import { arrivalOf, segment, segmentKind } from './prompt.ts'
import type { Workload, WorkloadSetup } from './workload.ts'

/** Conversations that begin as a Poisson process; each turn repeats all before it and comes some time after the last answer. */
export interface Chat {
  readonly systemPrompts: number
  readonly systemTokens: number
  readonly documentTokens: LengthDraw
  readonly questionTokens: LengthDraw
  readonly outputTokens: LengthDraw
  readonly turns: number
  readonly thinkMs: number
}

/** Turns of one conversation have numbers of their own. */
const turnRange = 64

class Session {
  readonly #shape: Chat
  readonly #setup: WorkloadSetup
  readonly #number: number
  readonly #rng: ReturnType<typeof rngOf>
  readonly #group: number
  #text: readonly Segment[]
  #turn = 0

  constructor(shape: Chat, setup: WorkloadSetup, number: number) {
    this.#shape = shape
    this.#setup = setup
    this.#number = number
    // A generator per conversation: what others do changes nothing in it, so that arms get the same requests.
    this.#rng = rngOf(setup.seed, 1_000 + number)
    this.#group = Math.floor(this.#rng() * shape.systemPrompts)
    this.#text = [
      segment(segmentKind.system, this.#group, shape.systemTokens),
      segment(segmentKind.document, number, length(this.#rng, shape.documentTokens)),
    ]
  }

  /** The next turn, or undefined after the last one. */
  next(atMs: number): Arrival | undefined {
    if (this.#turn >= this.#shape.turns) return undefined
    const number = this.#number * turnRange + this.#turn++
    const question = segment(segmentKind.question, number, length(this.#rng, this.#shape.questionTokens))
    const answer = segment(segmentKind.answer, number, length(this.#rng, this.#shape.outputTokens))
    const prompt = [...this.#text, question]
    this.#text = [...prompt, answer]
    const { blockSize } = this.#setup
    return arrivalOf({ atMs, group: this.#number, session: this.#number, prompt, answer, blockSize })
  }

  thinkMs(): number {
    return exponential(this.#rng, this.#shape.thinkMs)
  }
}

/** `load` is conversations begun per second. A group is a conversation. */
export function chat(shape: Chat, setup: WorkloadSetup): Workload {
  const { seed, load, endMs } = setup
  const sessions = new Map<number, Session>()
  return {
    arrivals: {
      *[Symbol.iterator]() {
        const rng = rngOf(seed, 3)
        let atMs = exponential(rng, 1e3 / load)
        for (let number = 0; atMs < endMs; number++) {
          const session = new Session(shape, setup, number)
          sessions.set(number, session)
          const first = session.next(atMs)
          if (first !== undefined) yield first
          atMs += exponential(rng, 1e3 / load)
        }
      },
    },
    onFinished({ session: number }, atMs) {
      const session = number === undefined ? undefined : sessions.get(number)
      if (session === undefined || number === undefined) return []
      const next = session.next(atMs + session.thinkMs())
      if (next !== undefined) return [next]
      sessions.delete(number)
      return []
    },
  }
}
