import type { ExchangeObserver } from '#contracts/exchange.ts'
import type { Timer } from '#core/clock.ts'
import type { AttemptReason } from '#core/outcome.ts'
import { isRefusal, type Refusal, refuse } from '#core/refusal.ts'
import { dialectOf } from '#dialect/dialects.ts'
import type { ParsedResponseHead } from '#wire/http1/response-head.ts'
import type { Destination } from './destination.ts'
import { failureMessage, isRetryableStatus, retryAfterMs } from './failure.ts'
import type { Forwarder, ForwardJob } from './forwarder.ts'
import { ReplyStream } from './reply-stream.ts'
import type { UpstreamConnection, UpstreamFailure, UpstreamHandler } from './upstream-connection.ts'
import { upstreamBody, upstreamHead } from './upstream-request.ts'

const stage = { waiting: 0, connecting: 1, sent: 2, answering: 3, ended: 4 } as const

/**
 * One request on its way: tries endpoints until one answers, passes its answer on, and ends exactly once. Holds the
 * lease of the endpoint being tried and releases it however the try ends.
 */
export class ForwardCall implements UpstreamHandler, ExchangeObserver {
  /** Where the forwarder keeps it. */
  position = -1
  readonly #job: ForwardJob
  readonly #forwarder: Forwarder
  #stage: number = stage.waiting
  #destination: Destination | undefined = undefined
  #connection: UpstreamConnection | undefined = undefined
  #reply: ReplyStream | undefined = undefined
  #usageInjected = false
  readonly #tried: number[] = []
  #retries = 0
  #deadlineMs = Number.POSITIVE_INFINITY
  #totalDeadlineMs = Number.POSITIVE_INFINITY
  #pause: Timer | undefined = undefined

  constructor(job: ForwardJob, forwarder: Forwarder) {
    this.#job = job
    this.#forwarder = forwarder
    job.exchange.observer = this
  }

  /** Tries the first endpoint. */
  start(): void {
    const destination = this.#job.choose(this.#tried)
    if (isRefusal(destination)) return this.#refuse(destination)
    const { totalMs } = destination.modelServer.timeouts
    if (totalMs > 0) this.#totalDeadlineMs = this.#job.outcome.receivedAtMs + totalMs
    this.#try(destination)
  }

  /** Ends the call from outside: a refusal when nothing was sent, else an error event or a cut. */
  giveUp(refusal: Refusal): void {
    if (this.#stage === stage.ended) return
    this.#connection?.destroy()
    this.#finishWith(refusal)
  }

  /** Compares the deadline of the phase with the clock. */
  checkDeadlines(nowMs: number): void {
    if (nowMs >= this.#totalDeadlineMs) {
      return this.giveUp(refuse('deadline-exceeded', 'The total time allowed for this model has passed.'))
    }
    if (this.#stage === stage.connecting && this.#connection?.isConnected === true) this.#noteConnected()
    if (nowMs < this.#deadlineMs) return
    if (this.#stage === stage.connecting) this.#attemptFailed('upstream-connect-timeout', true)
    else if (this.#stage === stage.sent) this.#attemptFailed('upstream-first-byte-timeout', false)
    else if (this.#stage === stage.answering) this.#stalled(nowMs)
  }

  head(head: ParsedResponseHead): void {
    const destination = this.#destination
    if (destination === undefined) return
    if (isRetryableStatus(head.status) && this.#retryElsewhere(head, destination)) return
    if (head.status >= 502 && head.status <= 504) destination.lease.failed(this.#forwarder.clock.nowMs())
    this.#stage = stage.answering
    const { exchange, request, outcome, exposeEndpoint } = this.#job
    this.#reply = new ReplyStream(exchange, head, {
      requestId: request.id,
      endpoint: exposeEndpoint ? destination.endpoint.id : undefined,
      dialect: dialectOf(request.api.dialect),
      work: {
        clientModel: destination.upstreamModel === undefined ? undefined : request.model,
        hideUsage: this.#usageInjected,
      },
    })
    outcome.status = head.status
    this.#deadlineMs = this.#forwarder.clock.nowMs() + destination.modelServer.timeouts.idleMs
  }

  data(buffer: Buffer, start: number, end: number): void {
    const { outcome } = this.#job
    if (outcome.responseBytes === 0) {
      outcome.firstTokenAtMs = this.#forwarder.clock.nowMs()
      this.#destination?.lease.firstByte(outcome.firstTokenAtMs)
    }
    outcome.responseBytes += end - start
    this.#reply?.push(buffer, start, end)
  }

  readEnd(): boolean {
    const reply = this.#reply
    if (reply === undefined || this.#stage !== stage.answering) return true
    const nowMs = this.#forwarder.clock.nowMs()
    this.#job.outcome.lastTokenAtMs = nowMs
    this.#deadlineMs = nowMs + (this.#destination?.modelServer.timeouts.idleMs ?? 0)
    return reply.flush()
  }

  completed(): void {
    const reply = this.#reply
    if (reply === undefined || this.#stage !== stage.answering) return
    const { outcome } = this.#job
    outcome.upstreamEndAtMs = this.#forwarder.clock.nowMs()
    outcome.lastTokenAtMs = outcome.upstreamEndAtMs
    this.#stage = stage.ended
    if (this.#connection?.isFlushed === true) this.#job.exchange.recycleBody()
    reply.finish()
    outcome.usage = reply.usage
    if (outcome.status >= 500) outcome.errorSource = 'upstream'
    this.#observe(outcome.status)
    this.#end()
  }

  failed(failure: UpstreamFailure): void {
    if (this.#stage === stage.ended) return
    this.#connection = undefined
    const destination = this.#destination
    if (failure.isStale && destination !== undefined && this.#stage !== stage.answering) {
      // The engine closed an idle connection while the request was under way to it: not a failure, try it afresh.
      const { connection } = this.#open(destination, true)
      return this.#send(connection, destination)
    }
    this.#attemptFailed(failure.reason, failure.reason === 'upstream-unreachable')
  }

  #try(destination: Destination): void {
    this.#destination = destination
    const { outcome } = this.#job
    outcome.attempts++
    outcome.modelServer = destination.modelServer.key
    outcome.endpoint = destination.endpoint.id
    outcome.upstreamModel = destination.upstreamModel
    const { connection } = this.#open(destination, false)
    this.#send(connection, destination)
  }

  #open(destination: Destination, isFresh: boolean): { connection: UpstreamConnection } {
    const pool = this.#forwarder.pools.of(destination.modelServer, destination.endpoint)
    return { connection: isFresh ? pool.connect() : pool.acquire() }
  }

  #send(connection: UpstreamConnection, destination: Destination): void {
    const { request, outcome } = this.#job
    const { modelServer, endpoint } = destination
    const body = upstreamBody(request, destination.upstreamModel, modelServer.injectUsage)
    this.#usageInjected = body.usageInjected
    this.#connection = connection
    const nowMs = this.#forwarder.clock.nowMs()
    if (Number.isNaN(outcome.sentAtMs)) outcome.sentAtMs = nowMs
    this.#stage = connection.isConnected ? stage.sent : stage.connecting
    this.#deadlineMs =
      nowMs + (connection.isConnected ? modelServer.timeouts.firstByteMs : modelServer.timeouts.connectMs)
    connection.send(upstreamHead(request, modelServer, endpoint, body.bytes), body, this)
  }

  #noteConnected(): void {
    this.#stage = stage.sent
    this.#deadlineMs = this.#forwarder.clock.nowMs() + (this.#destination?.modelServer.timeouts.firstByteMs ?? 0)
  }

  /** An engine's own "not now": try elsewhere if there is an elsewhere; else its answer is passed on as it is. */
  #retryElsewhere(head: ParsedResponseHead, destination: Destination): boolean {
    const nowMs = this.#forwarder.clock.nowMs()
    if (this.#retries >= destination.modelServer.retry.attempts) return false
    this.#tried.push(destination.endpoint.slot)
    const next = this.#job.choose(this.#tried)
    if (isRefusal(next)) return false
    if (!this.#forwarder.budget.take(nowMs)) {
      next.lease.release()
      return false
    }
    this.#connection?.destroy()
    const restMs = retryAfterMs(head)
    if (restMs > 0) destination.lease.rest(nowMs + restMs)
    else if (head.status !== 429) destination.lease.failed(nowMs)
    this.#dropAttempt(`status-${head.status}` as AttemptReason)
    this.#retry(next)
    return true
  }

  /** The try has failed without an answer: retry when nothing has gone to the client and another try is allowed. */
  #attemptFailed(reason: Refusal['reason'], isConnect: boolean): void {
    const destination = this.#destination
    const nowMs = this.#forwarder.clock.nowMs()
    this.#connection?.destroy()
    this.#connection = undefined
    destination?.lease.failed(nowMs)
    const isRetryable = isConnect || reason === 'upstream-reset' || reason === 'upstream-malformed'
    const hasStarted = this.#reply?.hasStarted === true
    if (
      destination !== undefined &&
      isRetryable &&
      !hasStarted &&
      this.#retries < destination.modelServer.retry.attempts
    ) {
      this.#tried.push(destination.endpoint.slot)
      const next = this.#job.choose(this.#tried)
      if (!isRefusal(next)) {
        if (this.#forwarder.budget.take(nowMs)) {
          this.#dropAttempt(reason)
          return this.#retry(next)
        }
        next.lease.release()
      }
    }
    this.#finishWith(refuse(reason, failureMessage(reason)))
  }

  /** Records a failed try and lets go of its endpoint. */
  #dropAttempt(reason: AttemptReason): void {
    const destination = this.#destination
    if (destination === undefined) return
    const { outcome } = this.#job
    const attempt = { modelServer: destination.modelServer.key, endpoint: destination.endpoint.id, reason }
    outcome.failedAttempts = [...outcome.failedAttempts, attempt]
    destination.lease.release()
    this.#destination = undefined
    this.#connection = undefined
    this.#reply = undefined
    outcome.responseBytes = 0
    outcome.firstTokenAtMs = Number.NaN
  }

  #retry(next: Destination): void {
    this.#retries++
    this.#stage = stage.waiting
    this.#deadlineMs = Number.POSITIVE_INFINITY
    const { intervalMs } = next.modelServer.retry
    if (intervalMs <= 0) return this.#try(next)
    this.#destination = next
    this.#pause = this.#forwarder.clock.after(intervalMs, () => {
      if (this.#stage === stage.waiting) this.#try(next)
    })
  }

  /** The engine sent nothing for too long: unless it is the client who does not read. */
  #stalled(nowMs: number): void {
    const idleMs = this.#destination?.modelServer.timeouts.idleMs ?? 0
    if (this.#reply?.isBlocked === true) this.#deadlineMs = nowMs + idleMs
    else this.#attemptFailed('upstream-idle-timeout', false)
  }

  /** The client takes bytes again. */
  drained(): void {
    this.#reply?.unblock()
    this.#connection?.resume()
  }

  /** The client has gone: so does the request at the engine. */
  aborted(): void {
    if (this.#stage === stage.ended) return
    const { outcome } = this.#job
    outcome.abort = this.#stage === stage.answering ? 'answering' : 'before-first-byte'
    outcome.errorSource = 'client'
    this.#stage = stage.ended
    this.#connection?.destroy()
    if (this.#reply !== undefined) outcome.usage = this.#reply.usage
    this.#end()
  }

  /** The call cannot be completed: says so in the way that is still open. */
  #finishWith(refusal: Refusal): void {
    const { outcome } = this.#job
    const reply = this.#reply
    if (reply === undefined || !reply.hasStarted) return this.#refuse(refusal)
    this.#stage = stage.ended
    outcome.refusal = refusal.reason
    outcome.errorSource = 'upstream'
    outcome.cut = true
    outcome.usage = reply.usage
    outcome.upstreamEndAtMs = this.#forwarder.clock.nowMs()
    reply.fail(refusal, this.#job.request.api.name)
    this.#end()
  }

  #refuse(refusal: Refusal): void {
    this.#stage = stage.ended
    this.#close()
    this.#job.refused(refusal)
  }

  /** What the answer says of the endpoint's speed and health. */
  #observe(status: number): void {
    const lease = this.#destination?.lease
    if (lease === undefined || status < 200 || status >= 300) return
    const { outcome, request } = this.#job
    lease.succeeded()
    if (!request.stream) return
    lease.observeTtft(outcome.firstTokenAtMs - outcome.sentAtMs)
    const tokens = outcome.usage.outputTokens ?? 0
    if (tokens > 1) lease.observeTpot((outcome.lastTokenAtMs - outcome.firstTokenAtMs) / (tokens - 1))
  }

  #end(): void {
    this.#close()
    this.#job.ended()
  }

  #close(): void {
    const { outcome, exchange } = this.#job
    outcome.why = this.#destination?.decision.text()
    this.#destination?.lease.release()
    this.#pause?.cancel()
    this.#connection = undefined
    exchange.observer = undefined
    this.#forwarder.done(this)
  }
}
