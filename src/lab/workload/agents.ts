import type { Arrival } from '#lab/virtual-fleet.ts'
import type { Segment } from '#sim/model/block-hash.ts'
import { heavyTail, type LengthDraw, length, rngOf } from './draws.ts'
import { arrivalOf, segment, segmentKind } from './prompt.ts'
import type { Workload, WorkloadSetup } from './workload.ts'

/** Agents that call tools between their turns, and at times send out helpers which share all they know. */
export interface Agents {
  readonly kinds: number
  /** System prompt and tools of one kind. */
  readonly systemTokens: number
  readonly taskTokens: LengthDraw
  /** What a tool adds. */
  readonly toolTokens: LengthDraw
  readonly outputTokens: LengthDraw
  readonly leastTurns: number
  readonly mostTurns: number
  /** Time of a tool, with a heavy tail. */
  readonly leastGapMs: number
  readonly mostGapMs: number
  /** An agent ends before its context is longer. */
  readonly mostContextTokens: number
  /** Chance of a turn to send out helpers, how many, and their turns. */
  readonly helperChance: number
  readonly helpers: number
  readonly helperTurns: number
  /** Agents of the start begin within this time. */
  readonly startMs: number
}

interface Agent {
  readonly id: number
  readonly rng: ReturnType<typeof rngOf>
  readonly isHelper: boolean
  text: readonly Segment[]
  turnsLeft: number
}

/** Turns of one agent have numbers of their own. */
const turnRange = 128

class AgentPool implements Workload {
  readonly #shape: Agents
  readonly #setup: WorkloadSetup
  readonly #agents = new Map<number, Agent>()

  constructor(shape: Agents, setup: WorkloadSetup) {
    this.#shape = shape
    this.#setup = setup
  }

  /** Agents of the start stand anywhere in their work, with what they know not cached yet. */
  get arrivals(): readonly Arrival[] {
    const rng = rngOf(this.#setup.seed, 5)
    return Array.from({ length: Math.round(this.#setup.load) }, (_, slot) => ({
      slot,
      atMs: rng() * this.#shape.startMs,
    }))
      .toSorted((a, b) => a.atMs - b.atMs)
      .flatMap(({ slot, atMs }) => this.#turn(this.#begin(slot, true), atMs))
  }

  onFinished({ session }: Arrival, atMs: number): readonly Arrival[] {
    const agent = session === undefined ? undefined : this.#agents.get(session)
    if (agent === undefined) return []
    const { leastGapMs, mostGapMs, helperChance } = this.#shape
    const gapMs = heavyTail(agent.rng, leastGapMs, mostGapMs)
    const known = tokensOf(agent.text)
    if (agent.turnsLeft <= 0 || known > this.#shape.mostContextTokens) {
      this.#agents.delete(agent.id)
      return agent.isHelper ? [] : this.#turn(this.#begin(this.#successorOf(agent), false), atMs + gapMs)
    }
    const isSending = !agent.isHelper && agent.rng() < helperChance
    const helpers = isSending ? this.#sendHelpers(agent, atMs) : []
    return [...helpers, ...this.#turn(agent, atMs + gapMs)]
  }

  #begin(id: number, isMidway: boolean): Agent {
    const shape = this.#shape
    const rng = rngOf(this.#setup.seed, 2_000_000 + id)
    const kind = Math.floor(rng() * shape.kinds)
    const turns = Math.round(shape.leastTurns + rng() * (shape.mostTurns - shape.leastTurns))
    const done = isMidway ? Math.floor(rng() * turns) : 0
    const doneTokens = done * (shape.toolTokens.mean + shape.outputTokens.mean)
    const system = segment(segmentKind.system, kind, shape.systemTokens)
    const task = segment(segmentKind.document, id, length(rng, shape.taskTokens) + Math.round(doneTokens))
    const agent = { id, rng, isHelper: false, text: [system, task], turnsLeft: turns - done }
    this.#agents.set(id, agent)
    return agent
  }

  #sendHelpers(agent: Agent, atMs: number): readonly Arrival[] {
    const { helpers, helperTurns } = this.#shape
    return Array.from({ length: helpers }, (_, i) => {
      // Derived from the agent and its turn, so that the order in which agents finish changes no number.
      const id = helperNumbers + (agent.id * turnRange + agent.turnsLeft) * helpers + i
      const helper = { id, rng: rngOf(this.#setup.seed, id), isHelper: true, text: agent.text, turnsLeft: helperTurns }
      this.#agents.set(id, helper)
      return this.#turn(helper, atMs + 1 + i)
    }).flat()
  }

  #turn(agent: Agent, atMs: number): readonly Arrival[] {
    const number = (agent.id * turnRange + agent.turnsLeft--) % numberRange
    const shape = this.#shape
    const question = segment(segmentKind.question, number, length(agent.rng, shape.toolTokens))
    const answer = segment(segmentKind.answer, number, length(agent.rng, shape.outputTokens))
    const prompt = [...agent.text, question]
    agent.text = [...prompt, answer]
    const { blockSize } = this.#setup
    return [arrivalOf({ atMs, group: agent.id, session: agent.id, prompt, answer, blockSize })]
  }

  /** Whoever follows an agent has a number that only depends on it. */
  #successorOf({ id }: Agent): number {
    return id + Math.round(this.#setup.load)
  }
}

/** Numbers of helpers: far from those of agents. */
const helperNumbers = 2 ** 18

/** Segments have numbers below this. */
const numberRange = 2 ** 26

function tokensOf(text: readonly Segment[]): number {
  return text.reduce((sum, { tokens }) => sum + tokens, 0)
}

/** `load` is agents at work at a time, helpers not counted. A group is an agent. */
export function agents(shape: Agents, setup: WorkloadSetup): Workload {
  return new AgentPool(shape, setup)
}
