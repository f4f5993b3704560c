import http from 'node:http'
import https from 'node:https'
import type { EndpointPlan, ModelServerPlan } from '#config/snapshot.ts'
import type { PromptQuestion } from '#contracts/schedule.ts'
import type { Clock } from '#core/clock.ts'
import type { LearnedPrompt } from '#struct/learned-prompts.ts'
import { extrasOfSalt, keysOfTokens } from '#struct/token-chain.ts'

/** What is asked of prompts works with. */
export interface PromptTokensPorts {
  readonly clock: Clock
  /** The endpoint in a slot and its model server; undefined when there is none. */
  readonly endpointOf: (slot: number) => { endpoint: EndpointPlan; modelServer: ModelServerPlan } | undefined
  /** The tokens of a prompt are known, for every thread. */
  readonly onLearned: (prompt: LearnedPrompt) => void
}

/** What became of the questions so far. */
export interface PromptTokensCounts {
  learned: number
  /** The engine did not say, or nothing that could be read. */
  failed: number
  /** Too many waited. */
  dropped: number
}

const maxRunning = 4
const maxWaiting = 256
const maxWaitingBytes = 64 * 1024 * 1024
const timeoutMs = 10_000
const maxAnswerBytes = 32 * 1024 * 1024

/** Members of a body that decide its tokens, beside `messages` and `prompt`. */
const chatMembers = ['messages', 'tools'] as const

/**
 * Asks engines for the tokens of prompts, off the path of the requests: `POST /tokenize` of vLLM, which applies the chat
 * template. A few at a time; when too many wait, further questions are dropped: the next request with the same prompt asks
 * again. Main thread.
 */
export class PromptTokens {
  readonly counts: PromptTokensCounts = { learned: 0, failed: 0, dropped: 0 }
  readonly #ports: PromptTokensPorts
  readonly #agents = { http: new http.Agent({ keepAlive: true }), https: new https.Agent({ keepAlive: true }) }
  readonly #waiting: PromptQuestion[] = []
  readonly #requests = new Set<http.ClientRequest>()
  /** Prompts that wait or are being asked for, by whichever thread. */
  readonly #asked = new Set<number>()
  #waitingBytes = 0
  #running = 0
  #isClosed = false

  constructor(ports: PromptTokensPorts) {
    this.#ports = ports
  }

  ask(question: PromptQuestion): void {
    const { identity, body } = question
    if (this.#isClosed || this.#asked.has(identity)) return
    if (this.#waiting.length >= maxWaiting || this.#waitingBytes + body.length > maxWaitingBytes) {
      return void this.counts.dropped++
    }
    this.#asked.add(identity)
    this.#waitingBytes += body.length
    this.#waiting.push(question)
    this.#next()
  }

  close(): void {
    this.#isClosed = true
    this.#waiting.length = 0
    for (const request of this.#requests) request.destroy()
    this.#agents.http.destroy()
    this.#agents.https.destroy()
  }

  #next(): void {
    while (this.#running < maxRunning) {
      const question = this.#waiting.shift()
      if (question === undefined) return
      this.#running++
      this.#waitingBytes -= question.body.length
      void this.#answer(question).finally(() => {
        this.#running--
        this.#asked.delete(question.identity)
        if (!this.#isClosed) this.#next()
      })
    }
  }

  async #answer(question: PromptQuestion): Promise<void> {
    const tokens = await this.#tokensOf(question).catch(() => undefined)
    if (this.#isClosed) return
    if (tokens === undefined) return void this.counts.failed++
    this.counts.learned++
    const { identity, starts, promptBytes, adapter, cacheSalt } = question
    const keys = keysOfTokens(tokens, adapter, extrasOfSalt(cacheSalt))
    this.#ports.onLearned({ identity, starts, promptBytes, tokens: tokens.length, keys })
  }

  async #tokensOf({ slot, model, body }: PromptQuestion): Promise<readonly number[] | undefined> {
    const asked: unknown = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.length).toString())
    if (!isRecord(asked)) return undefined
    const { prompt } = asked
    if (isTokens(prompt)) return prompt
    const question = questionOf(asked, model)
    const at = this.#ports.endpointOf(slot)
    if (question === undefined || at === undefined) return undefined
    const answer: unknown = JSON.parse((await this.#post(at, JSON.stringify(question))).toString())
    const tokens = isRecord(answer) ? answer['tokens'] : undefined
    return isTokens(tokens) ? tokens : undefined
  }

  #post(at: { endpoint: EndpointPlan; modelServer: ModelServerPlan }, body: string): Promise<Buffer> {
    const { tls, basePath, setHeaders } = at.modelServer
    const { host, port } = at.endpoint
    const headers: Record<string, string | number> = Object.fromEntries(setHeaders.map((h) => [h.name, h.value]))
    headers['content-type'] = 'application/json'
    headers['content-length'] = Buffer.byteLength(body)
    const common = { host, port, path: `${basePath}/tokenize`, method: 'POST', headers }
    return new Promise((resolve, reject) => {
      const onAnswer = (answer: http.IncomingMessage): void => readAnswer(answer, resolve, reject)
      const request =
        tls === undefined
          ? http.request({ ...common, agent: this.#agents.http }, onAnswer)
          : https.request(
              {
                ...common,
                agent: this.#agents.https,
                ca: tls.ca,
                servername: tls.serverName,
                cert: tls.certificate?.cert,
                key: tls.certificate?.key,
                rejectUnauthorized: !tls.insecureSkipVerify,
              },
              onAnswer,
            )
      const timer = this.#ports.clock.after(timeoutMs, () => request.destroy(new Error('no answer in time')))
      this.#requests.add(request)
      request.on('error', reject)
      request.on('close', () => {
        timer.cancel()
        this.#requests.delete(request)
        reject(new Error('the connection has ended'))
      })
      request.end(body)
    })
  }
}

function readAnswer(
  answer: http.IncomingMessage,
  resolve: (body: Buffer) => void,
  reject: (error: Error) => void,
): void {
  const pieces: Buffer[] = []
  let bytes = 0
  answer.on('data', (piece: Buffer) => {
    bytes += piece.length
    if (bytes > maxAnswerBytes) return void answer.destroy(new Error('the answer is too long'))
    pieces.push(piece)
  })
  answer.on('error', reject)
  answer.on('end', () => {
    if (answer.statusCode === 200) resolve(Buffer.concat(pieces))
    else reject(new Error(`the engine answered ${answer.statusCode}`))
  })
}

/** The body for `/tokenize`; undefined for a kind of request whose tokens cannot be asked for. */
function questionOf(asked: Readonly<Record<string, unknown>>, model: string): Record<string, unknown> | undefined {
  if (typeof asked['prompt'] === 'string') return { model, prompt: asked['prompt'] }
  // With `system` beside `messages` it is a request of another API, which is put together otherwise.
  if (!Array.isArray(asked['messages']) || asked['system'] !== undefined) return undefined
  const question: Record<string, unknown> = { model, add_generation_prompt: true }
  for (const name of chatMembers) if (asked[name] !== undefined) question[name] = asked[name]
  return question
}

function isTokens(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.length > 0 && value.every((token) => Number.isInteger(token))
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
