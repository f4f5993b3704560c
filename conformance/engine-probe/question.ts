import type { Answered, Asked, Engine } from './ask.ts'
import { type Shape, shapeOf } from './shape.ts'

/** One thing asked of every engine of a kind. */
export interface Question {
  readonly name: string
  ask(engine: Engine): Promise<Shape>
}

/** A question that is one request. */
export function single(name: string, asked: Asked): Question {
  return { name, ask: async (engine) => shapeOf(await engine.ask(asked)) }
}

/** A question that is a JSON body posted to a path. */
export function posted(
  name: string,
  path: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Question {
  return single(name, { method: 'POST', path, body, headers })
}

/** The model every engine is started with. */
export const model = 'tiny'

export const messages = [{ role: 'user', content: 'Say something about gateways.' }]

/** Enough tokens that a stream has a first, a middle and a last chunk, whatever an engine puts into one. */
const tokens = 24

/** A chat request; the random model of the real engines would end by itself, `ignore_eos` keeps it going. */
export function chat(more: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> {
  return { model, messages, max_tokens: tokens, temperature: 0, ignore_eos: true, ...more }
}

/** A completions request. */
export function completion(more: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> {
  return { model, prompt: 'def main():', max_tokens: tokens, temperature: 0, ignore_eos: true, ...more }
}

/** What lies at a path of keys in a JSON answer; undefined when nothing does. */
export function fieldOf(answer: Answered, ...path: readonly (string | number)[]): unknown {
  let value: unknown = JSON.parse(answer.text)
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = Reflect.get(value, key)
  }
  return value
}

/** The value of the first series of a metric on the engine's page; NaN when there is none. */
export async function metricOf(engine: Engine, name: string): Promise<number> {
  const { text } = await engine.ask({ method: 'GET', path: '/metrics' })
  const line = text.split('\n').find((each) => each.startsWith(`${name}{`) || each.startsWith(`${name} `))
  return line === undefined ? Number.NaN : Number(line.slice(line.lastIndexOf(' ') + 1))
}

/** Asks until `holds` does, for at most ten seconds; says whether it came to hold. */
export async function waitUntil(engine: Engine, holds: () => Promise<boolean>): Promise<boolean> {
  for (let attempt = 0; attempt < 200; attempt++) {
    if (await holds()) return true
    await engine.pause(50)
  }
  return false
}
