import { type LengthDraw, length, rngOf, shuffled, zipf } from './draws.ts'
import { poisson } from './poisson.ts'
import { segment, segmentKind } from './prompt.ts'
import type { Workload, WorkloadSetup } from './workload.ts'

/** Requests whose prompts begin with one of some texts, and the lengths of what follows. */
interface Tails {
  readonly questionTokens: LengthDraw
  readonly outputTokens: LengthDraw
}

/** Prefixes asked for one after the other, over and over: what comes next is what was used longest ago. */
export interface Rotation extends Tails {
  readonly prefixes: number
  readonly prefixTokens: number
}

/** `load` is requests per second. */
export function rotation(shape: Rotation, setup: WorkloadSetup): Workload {
  const order = shuffled(shape.prefixes, rngOf(setup.seed, 6))
  return poisson(setup, 7, (rng, number) => {
    const group = order[number % order.length] ?? 0
    const prefix = segment(segmentKind.prefix, group, shape.prefixTokens)
    const question = segment(segmentKind.question, number, length(rng, shape.questionTokens))
    return { group, prompt: [prefix, question], answer: answerTo(number, length(rng, shape.outputTokens)) }
  })
}

/** What one tenant asks: prefixes of its own, drawn by Zipf's law. */
export interface Tenant extends Tails {
  /** Its part of the requests at a time, in proportion to that of the others. */
  readonly weight: (atMs: number) => number
  readonly prefixes: number
  readonly exponent: number
  readonly prefixTokens: number
}

/** Prefixes of one tenant have numbers of their own. */
const prefixRange = 2 ** 12

/** Several tenants on one fleet; `load` is requests per second of all of them. */
export function tenants(shapes: readonly Tenant[], setup: WorkloadSetup): Workload {
  const draws = shapes.map(({ prefixes, exponent }) => zipf(prefixes, exponent))
  return poisson(setup, 8, (rng, number, atMs) => {
    const tenant = tenantAt(rng(), shapes, atMs)
    const shape = shapes[tenant] ?? noTenant()
    const group = tenant * prefixRange + (draws[tenant]?.(rng) ?? 0)
    const prefix = segment(segmentKind.prefix, group, shape.prefixTokens)
    const question = segment(segmentKind.question, number, length(rng, shape.questionTokens))
    const answer = answerTo(number, length(rng, shape.outputTokens))
    return { group, tenant, prompt: [prefix, question], answer }
  })
}

/** The tenant at a point (0 to 1) of all weights laid end to end. */
function tenantAt(point: number, shapes: readonly Tenant[], atMs: number): number {
  const weights = shapes.map(({ weight }) => weight(atMs))
  let left = point * weights.reduce((sum, each) => sum + each, 0)
  return Math.max(
    0,
    weights.findIndex((each) => (left -= each) < 0),
  )
}

function noTenant(): never {
  throw new RangeError('there is no tenant')
}

/** Weights of two tenants of which now one, now the other has most of the requests, in turns of so many milliseconds. */
export function alternating(turnMs: number, turn: 0 | 1): Tenant['weight'] {
  return (atMs) => (Math.floor(atMs / turnMs) % 2 === turn ? 9 : 1)
}

/** Short prompts, and now and then a giant; nothing is shared. */
export interface Giants {
  /** Chance of a request to be one. */
  readonly chance: number
  readonly giantTokens: number
  readonly smallTokens: LengthDraw
  readonly outputTokens: LengthDraw
}

/** `load` is requests per second. Tenant 1 sends the giants. */
export function giants({ chance, giantTokens, smallTokens, outputTokens }: Giants, setup: WorkloadSetup): Workload {
  return poisson(setup, 9, (rng, number) => {
    const isGiant = rng() < chance
    const small = length(rng, smallTokens)
    const question = segment(segmentKind.question, number, isGiant ? giantTokens : small)
    const answer = answerTo(number, length(rng, outputTokens))
    return { group: number, tenant: isGiant ? 1 : 0, prompt: [question], answer }
  })
}

/** One prompt, again and again. */
export interface Identical {
  readonly promptTokens: number
  readonly outputTokens: LengthDraw
}

/** `load` is requests per second. */
export function identical({ promptTokens, outputTokens }: Identical, setup: WorkloadSetup): Workload {
  const prompt = [segment(segmentKind.prefix, 0, promptTokens)]
  return poisson(setup, 10, (rng, number) => {
    return { group: 0, prompt, answer: answerTo(number, length(rng, outputTokens)) }
  })
}

/** Prompts that all begin with something of their own (the time, say), so that nothing behind it can be shared. */
export interface UniqueStarts extends Tails {
  readonly startTokens: number
  readonly prefixes: number
  readonly exponent: number
  readonly prefixTokens: number
}

/** Numbers of beginnings: far from those of questions. */
const startNumbers = 2 ** 25

/** `load` is requests per second. */
export function uniqueStarts(shape: UniqueStarts, setup: WorkloadSetup): Workload {
  const draw = zipf(shape.prefixes, shape.exponent)
  return poisson(setup, 11, (rng, number) => {
    const start = segment(segmentKind.question, startNumbers + number, shape.startTokens)
    const prefix = segment(segmentKind.prefix, draw(rng), shape.prefixTokens)
    const question = segment(segmentKind.question, number, length(rng, shape.questionTokens))
    const answer = answerTo(number, length(rng, shape.outputTokens))
    return { group: number, prompt: [start, prefix, question], answer }
  })
}

/** Requests for adapters drawn by Zipf's law, with one system prompt each. */
export interface Adapters extends Tails {
  readonly adapters: number
  readonly exponent: number
  readonly systemTokens: number
}

/** `load` is requests per second. A group is an adapter. */
export function adapters(shape: Adapters, setup: WorkloadSetup): Workload {
  const draw = zipf(shape.adapters, shape.exponent)
  return poisson(setup, 12, (rng, number) => {
    const adapter = draw(rng)
    const system = segment(segmentKind.system, adapter, shape.systemTokens)
    const question = segment(segmentKind.question, number, length(rng, shape.questionTokens))
    const answer = answerTo(number, length(rng, shape.outputTokens))
    return { group: adapter, adapter, prompt: [system, question], answer }
  })
}

function answerTo(number: number, tokens: number): ReturnType<typeof segment> {
  return segment(segmentKind.answer, number, tokens)
}
