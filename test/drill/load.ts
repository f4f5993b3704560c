/**
 * A mixed load that knows what every answer must be: chat as one answer and as a stream, short and long, embeddings,
 * the model list, on connections that are kept and on new ones. Nothing is retried here, so every failure shows.
 */
import { Agent, request as httpRequest } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import type { Rng } from '#core/clock.ts'
import { splitEvents } from '#test/end-to-end/support/sse.ts'

/** One request that did not end as it should. */
export interface Failure {
  readonly kind: string
  readonly atMs: number
  readonly detail: string
}

/** What a load has done. */
export interface LoadReport {
  readonly counts: Readonly<Record<string, number>>
  readonly failures: readonly Failure[]
  readonly longestMs: number
}

/** What a load needs. */
export interface LoadPlan {
  readonly port: number
  readonly model: string
  readonly rng: Rng
  /** Clients that work at the same time. */
  readonly clients: number
  readonly untilMs: number
  readonly now: () => number
}

interface Kind {
  readonly name: string
  readonly share: number
  readonly path: string
  readonly tokens: number
  readonly stream: boolean
}

const kinds: readonly Kind[] = [
  { name: 'chat', share: 0.4, path: '/v1/chat/completions', tokens: 8, stream: false },
  { name: 'stream', share: 0.3, path: '/v1/chat/completions', tokens: 60, stream: true },
  { name: 'long stream', share: 0.05, path: '/v1/chat/completions', tokens: 600, stream: true },
  { name: 'embeddings', share: 0.15, path: '/v1/embeddings', tokens: 0, stream: false },
  { name: 'models', share: 0.1, path: '/v1/models', tokens: 0, stream: false },
]

const keptFailures = 100
/** Share of requests that open a connection of their own. */
const freshShare = 0.25

/** Runs the load; resolves when every request that was begun has ended. */
export async function runLoad(plan: LoadPlan): Promise<LoadReport> {
  const agent = new Agent({ keepAlive: true, maxSockets: plan.clients })
  const counts: Record<string, number> = {}
  const failures: Failure[] = []
  const startedMs = plan.now()
  let longestMs = 0
  let failed = 0
  const client = async (): Promise<void> => {
    while (plan.now() < plan.untilMs) {
      const kind = drawKind(plan.rng)
      const beganMs = plan.now()
      const problem = await one(plan, kind, plan.rng() < freshShare ? undefined : agent)
      longestMs = Math.max(longestMs, plan.now() - beganMs)
      counts[kind.name] = (counts[kind.name] ?? 0) + 1
      if (problem !== undefined) {
        failed++
        if (failures.length < keptFailures)
          failures.push({ kind: kind.name, atMs: plan.now() - startedMs, detail: problem })
      }
      await pause(plan.rng() * 20)
    }
  }
  await Promise.all(Array.from({ length: plan.clients }, client))
  agent.destroy()
  return { counts: { ...counts, failed }, failures, longestMs }
}

function drawKind(rng: Rng): Kind {
  let left = rng()
  for (const kind of kinds) {
    left -= kind.share
    if (left < 0) return kind
  }
  return kinds[0] as Kind
}

/** Sends one request; what is wrong with its answer, or undefined. */
function one(plan: LoadPlan, kind: Kind, agent: Agent | undefined): Promise<string | undefined> {
  const body = bodyOf(plan.model, kind)
  return new Promise((resolve) => {
    const outgoing = httpRequest(
      {
        host: '127.0.0.1',
        port: plan.port,
        path: kind.path,
        method: body === undefined ? 'GET' : 'POST',
        headers: { 'content-type': 'application/json' },
        agent: agent ?? false,
      },
      (response) => {
        const parts: Buffer[] = []
        response.on('data', (part: Buffer) => parts.push(part))
        response.on('error', (error) => resolve(`cut: ${error.message}`))
        response.on('end', () => {
          const text = Buffer.concat(parts).toString()
          if (!response.complete) return resolve(`incomplete answer: ${text.slice(-200)}`)
          resolve(response.statusCode === 200 ? problemOf(kind, text) : `${response.statusCode}: ${text.slice(0, 300)}`)
        })
      },
    )
    outgoing.on('error', (error) => resolve(`error: ${error.message}`))
    outgoing.end(body)
  })
}

function bodyOf(model: string, kind: Kind): string | undefined {
  if (kind.name === 'models') return undefined
  if (kind.name === 'embeddings') return JSON.stringify({ model, input: 'a text to embed' })
  const messages = [{ role: 'user', content: 'tell me something long' }]
  return JSON.stringify({ model, messages, max_tokens: kind.tokens, stream: kind.stream })
}

function problemOf(kind: Kind, text: string): string | undefined {
  if (kind.stream) {
    const { events, fragment } = splitEvents(text)
    // The role, one event per token, [DONE].
    const isWhole = events.length === kind.tokens + 2 && fragment === '' && events.at(-1)?.data === '[DONE]'
    return isWhole ? undefined : `stream of ${events.length} events: ...${text.slice(-300)}`
  }
  const answer = JSON.parse(text) as { choices?: unknown[]; data?: unknown[] }
  return (answer.choices ?? answer.data ?? []).length > 0 ? undefined : `no content: ${text.slice(0, 200)}`
}
