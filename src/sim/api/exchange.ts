import type { Clock } from '#core/clock.ts'
import type { AdapterTable } from '#sim/adapter-table.ts'
import type { Call } from '#sim/call.ts'
import type { KvEventSource } from '#sim/kv-events/kv-events.ts'
import type { LiveEngine } from '#sim/live-engine.ts'
import type { SimSettings } from '#sim/options.ts'
import type { Reply, ReplyHeaders } from '#sim/reply.ts'
import type { BodyProblem, JsonBody } from './body.ts'

/** What all calls of one simulated server share. */
export interface SimCore {
  readonly settings: SimSettings
  readonly clock: Clock
  readonly engine: LiveEngine
  readonly adapters: AdapterTable
  /** Epoch seconds of the start. */
  readonly startedS: number
  /** A fresh id of 16 hexadecimal digits. */
  newId(): string
  /** Model calls being answered now. */
  openCalls(): number
  /** The port the server listens on. */
  port(): number
  /** Where events of the KV blocks are published, for each rank; empty when they are not. */
  kvEventSources(): readonly KvEventSource[]
}

/** One call on its way to its answer. */
export interface Exchange {
  readonly core: SimCore
  readonly call: Call
  readonly reply: Reply
}

/** An error answer, before it gets the engine's shape. */
export interface Problem {
  readonly status: number
  readonly type: string
  readonly message: string
  readonly param: string | null
  /** Further fields, for engines whose errors have some. */
  readonly details?: Readonly<Record<string, unknown>>
}

/** The model a call asked for. */
export interface ChosenModel {
  /** As it comes back in the answer. */
  readonly name: string
  readonly adapter: string | undefined
}

/** How one engine words what all engines have to say. */
export interface Protocol {
  refuse(exchange: Exchange, problem: Problem): void
  refuseBody(exchange: Exchange, problem: BodyProblem): void
  chooseModel(core: SimCore, name: string | undefined): ChosenModel | Problem
  /** What the engine checks of a body besides the types of its fields; undefined when all is well. Absent: nothing. */
  inspect?(exchange: Exchange, body: JsonBody): Problem | BodyProblem | undefined
  /** Whether prompt and wanted output (unset: at least one token) fit the model; undefined when they do. */
  overflow(core: SimCore, promptTokens: number, maxTokens: number | undefined): Problem | undefined
  /** Whether the engine takes one more request; undefined when it does. */
  overload(core: SimCore): Problem | undefined
  /** Extra headers of a unary model answer. */
  headers(exchange: Exchange): ReplyHeaders
}

/** One path of a server. */
export interface Route {
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** Model calls are recorded, counted in the load and hit by faults that name no path. */
  readonly isModelCall: boolean
  handle(exchange: Exchange): void
}

/** Tells a problem with a body from other problems. */
export function isBodyProblem(problem: Problem | BodyProblem): problem is BodyProblem {
  return 'kind' in problem
}

/** Tells a problem from a model. */
export function isProblem(value: ChosenModel | Problem): value is Problem {
  return 'status' in value
}

/** The fields of a JSON object; empty for everything else. */
export function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

/** A field that is a finite number, else undefined. */
export function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}

/** A field that is a string, else undefined. */
export function stringOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
