import { Agent, type IncomingMessage, request } from 'node:http'
import type { Clock, Timer } from '#core/clock.ts'
import { Fault } from '#core/fault.ts'
import type { Served } from '#lab/agreement.ts'
import { SegmentTexts } from '#lab/arms/prompt-text.ts'
import { ArrivalQueue } from '#lab/arrival-queue.ts'
import type { Arrival } from '#lab/virtual-fleet.ts'
import type { Workload } from '#lab/workload/workload.ts'
import { readAnswer, type StreamedAnswer } from './lab-http-answer.ts'

/** A workload that is to be sent over HTTP. Times are the fleet's, in milliseconds since the start. */
export interface HttpLoadPlan {
  readonly workload: Workload
  /** Of the gateway, on 127.0.0.1. */
  readonly port: number
  /** The model that requests without an adapter ask for. */
  readonly model: string
  /** What arrives before is sent and not reported. */
  readonly warmUpMs: number
  readonly endMs: number
  /** How many times faster than the clock the fleet's time goes. */
  readonly timeFactor: number
  readonly clock: Clock
  /** Index of the endpoint that the gateway names so. */
  readonly endpointOf: (name: string) => number
  /** Told about once a second. */
  readonly onProgress?: (nowMs: number) => void
}

/** What came of the requests. */
export interface HttpLoadResult {
  /** Measured ones that ended well, in order of their sending. */
  readonly served: readonly Served[]
  /** All that an endpoint took, those of the warm-up included, each arrived when it was sent; in order of time. */
  readonly placed: readonly PlacedArrival[]
  /** Those without a whole answer, by what happened. */
  readonly failures: ReadonlyMap<string, number>
  /** How late each request was sent, in real milliseconds. */
  readonly lateMs: readonly number[]
  /** Real milliseconds from the start to the last answer. */
  readonly tookMs: number
}

/** A request with the endpoint that it went to. */
export interface PlacedArrival {
  readonly arrival: Arrival
  readonly endpoint: number
}

/** More requests under way than this are no load that a fleet carries. */
const mostOpen = 8_192

const progressMs = 1_000

/** Sends a workload and follows it to the end of the last answer. Rejects with a Fault when far too many are under way. */
export function sendWorkload(plan: HttpLoadPlan): Promise<HttpLoadResult> {
  return new HttpLoad(plan).run()
}

interface Sent {
  readonly arrival: Arrival
  readonly sentMs: number
  /** Pieces of the stream as they came. */
  readonly parts: Buffer[]
  firstMs: number
  lastMs: number
}

class HttpLoad {
  readonly #plan: HttpLoadPlan
  readonly #agent = new Agent({ keepAlive: true })
  readonly #queue: ArrivalQueue
  readonly #texts = new SegmentTexts()
  /** Answers as they came, by the seed of the segment they stand for: what later prompts of the session repeat. */
  readonly #answers = new Map<number, Buffer>()
  readonly #served: Served[] = []
  readonly #placed: PlacedArrival[] = []
  readonly #failures = new Map<string, number>()
  readonly #lateMs: number[] = []
  readonly #startMs: number
  #open = 0
  #timer: Timer | undefined
  #toldMs = 0
  #settle: { readonly resolve: (result: HttpLoadResult) => void; readonly reject: (error: Error) => void } | undefined

  constructor(plan: HttpLoadPlan) {
    this.#plan = plan
    this.#queue = new ArrivalQueue(plan.workload.arrivals, plan.endMs)
    this.#startMs = plan.clock.nowMs()
  }

  run(): Promise<HttpLoadResult> {
    return new Promise<HttpLoadResult>((resolve, reject) => {
      this.#settle = { resolve, reject }
      this.#arm()
    }).finally(() => {
      this.#timer?.cancel()
      this.#agent.destroy()
    })
  }

  /** The fleet's time. */
  #nowMs(): number {
    return (this.#plan.clock.nowMs() - this.#startMs) * this.#plan.timeFactor
  }

  /** Waits for the next arrival, or ends when there is nothing left to wait for. */
  #arm(): void {
    this.#timer?.cancel()
    const dueMs = this.#queue.nextMs
    if (dueMs === Number.POSITIVE_INFINITY) {
      if (this.#open === 0) this.#end()
      return
    }
    const delayMs = Math.max(0, (dueMs - this.#nowMs()) / this.#plan.timeFactor)
    this.#timer = this.#plan.clock.after(delayMs, () => this.#sendDue())
  }

  #sendDue(): void {
    const nowMs = this.#nowMs()
    while (this.#queue.nextMs <= nowMs) {
      const arrival = this.#queue.take()
      if (arrival === undefined) break
      if (this.#isMeasured(arrival)) this.#lateMs.push((nowMs - arrival.atMs) / this.#plan.timeFactor)
      this.#send(arrival)
    }
    if (nowMs - this.#toldMs >= progressMs * this.#plan.timeFactor) {
      this.#toldMs = nowMs
      this.#plan.onProgress?.(nowMs)
    }
    if (this.#open <= mostOpen) return this.#arm()
    this.#settle?.reject(new Fault('client', `more than ${mostOpen} requests are under way: the load is too much`))
  }

  #send(arrival: Arrival): void {
    const body = this.#bodyOf(arrival)
    const sent: Sent = { arrival, sentMs: this.#nowMs(), parts: [], firstMs: Number.NaN, lastMs: Number.NaN }
    let isOver = false
    const end = (failure: string | undefined, response?: IncomingMessage): void => {
      if (isOver) return
      isOver = true
      this.#ended(sent, failure, response)
    }
    this.#open++
    const call = request(
      {
        host: '127.0.0.1',
        port: this.#plan.port,
        method: 'POST',
        path: '/v1/completions',
        agent: this.#agent,
        headers: {
          'content-type': 'application/json',
          'content-length': body.length,
          // The engine knows how long its answer will be, the gateway does not: as in virtual time.
          'x-sim-tokens': arrival.request.outputTokens,
        },
      },
      (response) => {
        response.on('data', (part: Buffer) => this.#take(sent, part))
        response.on('end', () => end(response.statusCode === 200 ? undefined : `${response.statusCode}`, response))
        response.on('error', () => end('broken off'))
      },
    )
    call.on('error', ({ message }) => end(message))
    call.end(body)
  }

  #take(sent: Sent, part: Buffer): void {
    const nowMs = this.#nowMs()
    if (sent.parts.length === 0) sent.firstMs = nowMs
    sent.lastMs = nowMs
    sent.parts.push(part)
  }

  /** The prompt is text of letters, blanks and points: nothing in it has to be escaped. */
  #bodyOf({ prompt = [], request: { adapter }, session }: Arrival): Buffer {
    const { model } = this.#plan
    const named = {
      model: adapter === undefined ? model : `adapter-${adapter}`,
      ...(session === undefined ? {} : { user: `session-${session}` }),
      stream: true,
      stream_options: { include_usage: true },
    }
    const text = prompt.map((segment) => this.#answers.get(segment.seed) ?? this.#texts.textOf(segment))
    const head = `${JSON.stringify(named).slice(0, -1)},"prompt":"`
    return Buffer.concat([Buffer.from(head), ...text, Buffer.from('"}')])
  }

  #ended(sent: Sent, failure: string | undefined, response: IncomingMessage | undefined): void {
    this.#open--
    const { arrival } = sent
    const answer = failure === undefined ? readAnswer(Buffer.concat(sent.parts).toString()) : undefined
    const problem = failure ?? problemOf(arrival, answer)
    if (answer === undefined || problem !== undefined) this.#fail(arrival, problem ?? 'no usage')
    else this.#note(sent, answer, String(response?.headers['x-infer-endpoint'] ?? ''))
    for (const next of this.#plan.workload.onFinished?.(arrival, this.#nowMs()) ?? []) this.#queue.add(next)
    this.#arm()
  }

  #note({ arrival, sentMs, firstMs, lastMs }: Sent, answer: StreamedAnswer, endpoint: string): void {
    const { workload, endpointOf } = this.#plan
    const seed = arrival.answer?.seed ?? -1
    if (workload.onFinished !== undefined) this.#answers.set(seed, Buffer.from(answer.text))
    const index = endpointOf(endpoint)
    this.#placed.push({ arrival: { ...arrival, atMs: sentMs }, endpoint: index })
    if (!this.#isMeasured(arrival)) return
    const { promptTokens, cachedTokens, outputTokens } = answer
    this.#served.push({
      name: seed,
      endpoint: index,
      sentMs,
      firstTokenMs: firstMs,
      lastTokenMs: lastMs,
      promptTokens,
      cachedTokens,
      outputTokens,
    })
  }

  #fail(arrival: Arrival, reason: string): void {
    if (this.#isMeasured(arrival)) this.#failures.set(reason, (this.#failures.get(reason) ?? 0) + 1)
  }

  #isMeasured({ atMs }: Arrival): boolean {
    return atMs >= this.#plan.warmUpMs
  }

  #end(): void {
    this.#settle?.resolve({
      served: this.#served.toSorted((a, b) => a.sentMs - b.sentMs),
      placed: this.#placed.toSorted((a, b) => a.arrival.atMs - b.arrival.atMs),
      failures: this.#failures,
      lateMs: this.#lateMs,
      tookMs: this.#plan.clock.nowMs() - this.#startMs,
    })
  }
}

/** What is wrong with an answer; undefined when it is the one that was asked for. */
function problemOf({ request: asked }: Arrival, answer: StreamedAnswer | undefined): string | undefined {
  if (answer === undefined) return 'broken off'
  if (answer.promptTokens !== asked.promptTokens) return 'a prompt of another length'
  return answer.outputTokens === asked.outputTokens ? undefined : 'an answer of another length'
}
