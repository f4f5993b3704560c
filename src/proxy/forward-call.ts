import type { ExchangeObserver } from '#contracts/exchange.ts'
import type { Timer } from '#core/clock.ts'
import type { AttemptReason } from '#core/outcome.ts'
import { isRefusal, type Refusal, type RefusalReason, refuse } from '#core/refusal.ts'
import { clientHash } from '#datastore/breaker.ts'
import type { Lease } from '#datastore/lease.ts'
import { dialectOf } from '#dialect/dialects.ts'
import type { ParsedResponseHead } from '#wire/http1/response-head.ts'
import { Attribution } from './attribution.ts'
import type { Destination } from './destination.ts'
import { failureMessage, isOwnShortage, isRetryableStatus, isTimeout, isUnableStatus, retryAfterMs } from './failure.ts'
import type { Forwarder, ForwardJob } from './forwarder.ts'
import { ReplyStream } from './reply-stream.ts'
import type { UpstreamConnection, UpstreamFailure, UpstreamHandler } from './upstream-connection.ts'
import { upstreamBody, upstreamHead } from './upstream-request.ts'

/** Before the only endpoint is tried once more that did not accept a connection: it may just be starting again. */
const restartPauseMs = 75

/**
 * So soon after the request was sent an idle connection breaks that its endpoint was closing: within a round trip. One
 * that breaks later breaks under an endpoint at work on the request.
 */
const keepAliveRaceMs = 1000

/**
 * What went before a retry. `connect`: the endpoint never had the request. `declined`: it said politely that it has no
 * room. `sent`: it had the request and broke off or gave up, which may be the request's doing.
 */
type Cause = 'connect' | 'declined' | 'sent'

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
  /** Retries after an endpoint that had the request. */
  #retriesAfterSent = 0
  /** An idle connection broke under the request, which the endpoint may have had by then. */
  #wasStale = false
  #wasRestarted = false
  /** The answer has begun for the client, and what that says of the endpoints is told. */
  #isCommitted = false
  /** When the try under way was sent. */
  #sentAtMs = 0
  #attribution: Attribution | undefined = undefined
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
    this.#reply?.checkHeld(nowMs)
    if (nowMs < this.#deadlineMs) return
    if (this.#stage === stage.connecting) this.#attemptFailed('upstream-connect-timeout', true)
    else if (this.#stage === stage.sent) this.#attemptFailed('upstream-first-byte-timeout', false)
    else if (this.#stage === stage.answering) this.#stalled(nowMs)
  }

  head(head: ParsedResponseHead): void {
    const destination = this.#destination
    if (destination === undefined) return
    if (isRetryableStatus(head.status) && this.#retryStatus(head, destination)) return
    // Engines send the head of a stream at once and compute its first token afterwards: the longer deadline stays.
    if (this.#stage === stage.connecting) this.#noteConnected()
    this.#stage = stage.answering
    const { exchange, request, outcome, exposeEndpoint } = this.#job
    this.#reply = new ReplyStream(exchange, head, {
      requestId: request.id,
      endpoint: exposeEndpoint ? destination.endpoint.id : undefined,
      explained: destination.explained,
      added: destination.lease.replyHeaders,
      hidesCors: exchange.addedHeaders.length > 0,
      dialect: dialectOf(request.api.dialect),
      work: {
        clientModel: destination.upstreamModel === undefined ? undefined : request.model,
        hideUsage: this.#usageInjected,
      },
    })
    outcome.status = head.status
  }

  data(buffer: Buffer, start: number, end: number): void {
    const reply = this.#reply
    if (reply === undefined) return
    const { outcome } = this.#job
    if (outcome.responseBytes === 0) {
      outcome.firstTokenAtMs = this.#forwarder.clock.nowMs()
      this.#destination?.lease.firstByte(outcome.firstTokenAtMs)
    }
    outcome.responseBytes += end - start
    reply.push(buffer, start, end)
    if (!this.#isCommitted) this.#commit(reply)
  }

  readEnd(): boolean {
    const reply = this.#reply
    const { outcome } = this.#job
    if (reply === undefined || this.#stage !== stage.answering || outcome.responseBytes === 0) return true
    const nowMs = this.#forwarder.clock.nowMs()
    outcome.lastTokenAtMs = nowMs
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
    this.#letBodyGo()
    reply.finish()
    outcome.usage = reply.usage
    this.#judge(reply)
    this.#end()
  }

  failed(failure: UpstreamFailure): void {
    if (this.#stage === stage.ended) return
    this.#connection = undefined
    const destination = this.#destination
    const isRace = failure.isStale && this.#forwarder.clock.nowMs() - this.#sentAtMs < keepAliveRaceMs
    if (isRace && destination !== undefined && !this.#wasStale) {
      // The engine closed an idle connection while the request was under way to it: not a failure, try it afresh. Once:
      // an engine that dies of the request looks the same.
      this.#wasStale = true
      const { connection } = this.#open(destination, true)
      return this.#send(connection, destination)
    }
    const isConnect = failure.reason === 'upstream-unreachable'
    if (isConnect && isOwnShortage(failure.detail)) this.#giveBack(failure.reason)
    else this.#attemptFailed(failure.reason, isConnect)
  }

  #try(destination: Destination): void {
    this.#destination = destination
    const { outcome } = this.#job
    outcome.attempts++
    outcome.modelServer = destination.modelServer.key
    outcome.endpoint = destination.endpoint.id
    outcome.upstreamModel = destination.upstreamModel
    // After one dead connection no second is risked: it could not be told from an endpoint that fails.
    const { connection } = this.#open(destination, this.#wasStale)
    this.#send(connection, destination)
  }

  #open(destination: Destination, isFresh: boolean): { connection: UpstreamConnection } {
    const pool = this.#forwarder.pools.of(destination.modelServer, destination.endpoint)
    return { connection: isFresh ? pool.connect() : pool.acquire() }
  }

  #send(connection: UpstreamConnection, destination: Destination): void {
    const { exchange, request, outcome } = this.#job
    const { modelServer } = destination
    const body = upstreamBody(request, destination.upstreamModel, modelServer.injectUsage)
    this.#usageInjected = body.usageInjected
    this.#connection = connection
    const nowMs = this.#forwarder.clock.nowMs()
    this.#sentAtMs = nowMs
    if (Number.isNaN(outcome.sentAtMs)) outcome.sentAtMs = nowMs
    this.#stage = connection.isConnected ? stage.sent : stage.connecting
    this.#deadlineMs =
      nowMs + (connection.isConnected ? modelServer.timeouts.firstByteMs : modelServer.timeouts.connectMs)
    connection.send(upstreamHead(request, destination, exchange.origin, body.bytes), body, this)
  }

  #noteConnected(): void {
    this.#stage = stage.sent
    this.#deadlineMs = this.#forwarder.clock.nowMs() + (this.#destination?.modelServer.timeouts.firstByteMs ?? 0)
  }

  /** An engine's own "not now": try elsewhere if there is an elsewhere; else its answer is passed on as it is. */
  #retryStatus(head: ParsedResponseHead, { lease }: Destination): boolean {
    const { clock } = this.#forwarder
    const nowMs = clock.nowMs()
    const restMs = retryAfterMs(head, clock.wallMs())
    const isPolite = head.status === 429 || restMs > 0
    if (restMs > 0) lease.rest(nowMs + restMs)
    if (isPolite) lease.answered(nowMs)
    else this.#suspect(lease)
    return this.#retry(`status-${head.status}` as AttemptReason, isPolite ? 'declined' : 'sent')
  }

  /** The try has failed without an answer: retry when nothing has gone to the client and another try is allowed. */
  #attemptFailed(reason: Refusal['reason'], isConnect: boolean): void {
    const lease = this.#destination?.lease
    this.#connection?.destroy()
    this.#connection = undefined
    if (lease !== undefined) {
      if (isConnect) lease.failed(this.#forwarder.clock.nowMs())
      else this.#suspect(lease, isTimeout(reason))
    }
    const isRetryable = isConnect || reason === 'upstream-reset' || reason === 'upstream-malformed'
    if (isRetryable && this.#retry(reason, isConnect ? 'connect' : 'sent')) return
    this.#fail(reason)
  }

  /** We could not connect for a reason of our own: no endpoint is blamed, and one more try may find us better off. */
  #giveBack(reason: Refusal['reason']): void {
    if (!this.#retry(reason, 'connect')) this.#fail(reason)
  }

  #fail(reason: Refusal['reason']): void {
    this.#noteFailedAttempt(reason)
    this.#finishWith(refuse(reason, failureMessage(reason)))
  }

  /** The stream began with an error: try elsewhere; if that cannot be, the engine's answer is passed on as it is. */
  #errorEvent(reply: ReplyStream, { lease }: Destination): void {
    this.#suspect(lease)
    if (this.#retry('upstream-error-event', 'sent')) return
    this.#isCommitted = true
    reply.open()
  }

  #suspect(lease: Lease, isSilent = false): void {
    this.#attribution ??= new Attribution()
    this.#attribution.suspect(lease, isSilent)
  }

  /** Goes on with another endpoint; false, with nothing changed, when that may or can not be. */
  #retry(reason: AttemptReason, cause: Cause): boolean {
    const destination = this.#destination
    if (destination === undefined || this.#reply?.hasStarted === true) return false
    const { attempts, afterSent, intervalMs } = destination.modelServer.retry
    const isAfterSent = cause === 'sent' || this.#wasStale
    if (this.#retries >= attempts || (isAfterSent && this.#retriesAfterSent >= afterSent)) return false
    this.#tried.push(destination.endpoint.slot)
    let next = this.#job.choose(this.#tried)
    let pauseMs = intervalMs
    if (isRefusal(next) && cause === 'connect' && !this.#wasRestarted) {
      this.#wasRestarted = true
      this.#tried.pop()
      next = this.#job.choose(this.#tried)
      pauseMs = Math.max(pauseMs, restartPauseMs)
    }
    if (isRefusal(next)) return false
    if (!this.#forwarder.budget.take(this.#forwarder.clock.nowMs())) {
      next.lease.release()
      return false
    }
    if (isAfterSent) this.#retriesAfterSent++
    this.#connection?.destroy()
    this.#dropAttempt(reason)
    this.#tryAfter(next, pauseMs)
    return true
  }

  #noteFailedAttempt(reason: AttemptReason): void {
    const destination = this.#destination
    if (destination === undefined) return
    const { outcome } = this.#job
    const attempt = { modelServer: destination.modelServer.key, endpoint: destination.endpoint.id, reason }
    outcome.failedAttempts = [...outcome.failedAttempts, attempt]
  }

  /** Records a failed try and lets go of its endpoint. */
  #dropAttempt(reason: AttemptReason): void {
    this.#noteFailedAttempt(reason)
    this.#destination?.lease.release()
    this.#destination = undefined
    this.#connection = undefined
    this.#reply = undefined
    const { outcome } = this.#job
    outcome.status = 0
    outcome.responseBytes = 0
    outcome.firstTokenAtMs = Number.NaN
  }

  #tryAfter(next: Destination, pauseMs: number): void {
    this.#retries++
    this.#stage = stage.waiting
    this.#deadlineMs = Number.POSITIVE_INFINITY
    if (pauseMs <= 0) return this.#try(next)
    this.#destination = next
    this.#pause = this.#forwarder.clock.after(pauseMs, () => {
      if (this.#stage === stage.waiting) this.#try(next)
    })
  }

  /** The engine sent nothing of a body, or no more of it, for too long: unless it is the client who does not read. */
  #stalled(nowMs: number): void {
    const idleMs = this.#destination?.modelServer.timeouts.idleMs ?? 0
    if (this.#reply?.isBlocked === true) this.#deadlineMs = nowMs + idleMs
    else if (this.#job.outcome.responseBytes === 0) this.#attemptFailed('upstream-first-byte-timeout', false)
    else this.#attemptFailed('upstream-idle-timeout', false)
  }

  /** The client takes bytes again. */
  drained(): void {
    this.#reply?.unblock()
    this.#connection?.resume()
  }

  /** The client has gone, or was sent away for `reason`: so does the request at the engine. */
  aborted(reason?: RefusalReason): void {
    if (this.#stage === stage.ended) return
    const { outcome } = this.#job
    outcome.refusal = reason
    outcome.abort = this.#stage === stage.answering ? 'answering' : 'before-first-byte'
    outcome.errorSource = 'client'
    this.#stage = stage.ended
    this.#connection?.destroy()
    if (this.#reply?.hasStarted !== true) outcome.status = 0
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
    // A drain or the total deadline ends it from our side.
    if (refusal.reason.startsWith('upstream-')) outcome.errorSource = 'upstream'
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

  /** Looks, until it is settled, whether the answer has begun for the client, or began with an error. */
  #commit(reply: ReplyStream): void {
    const destination = this.#destination
    if (destination === undefined) return
    if (reply.opensWithError) return this.#errorEvent(reply, destination)
    if (!reply.hasStarted) return
    this.#isCommitted = true
    this.#letBodyGo()
    this.#answered(destination.lease)
  }

  /** No further try will read the request: while a long stream runs, its memory serves others. */
  #letBodyGo(): void {
    if (this.#connection?.isFlushed === true) this.#job.exchange.recycleBody()
  }

  /** An endpoint that answers clears itself, and blames those that failed the request before it. */
  #answered(lease: Lease): void {
    if (this.#job.outcome.status >= 500) return
    const nowMs = this.#forwarder.clock.nowMs()
    lease.answered(nowMs)
    if (this.#job.outcome.status !== 429) this.#attribution?.answered(nowMs)
  }

  /** What the complete answer says of the endpoint. */
  #judge(reply: ReplyStream): void {
    const lease = this.#destination?.lease
    if (lease === undefined) return
    const { outcome } = this.#job
    const { status } = outcome
    if (status >= 500 || reply.hasErrorEvent) outcome.errorSource = 'upstream'
    if (reply.hasErrorEvent) {
      outcome.hasErrorEvent = true
      return this.#suspect(lease)
    }
    if (!this.#isCommitted) this.#answered(lease)
    const nowMs = this.#forwarder.clock.nowMs()
    if (status < 500 && status !== 429) lease.succeeded(nowMs)
    else if (status >= 500 && !isUnableStatus(status) && this.#attribution?.repeated() !== true) {
      lease.answeredBadly(nowMs, clientHash(outcome.clientAddress))
    }
    this.#observe(lease, status)
  }

  #observe(lease: Lease, status: number): void {
    const { outcome, request } = this.#job
    if (status < 200 || status >= 300) return
    const tokens = outcome.usage.outputTokens ?? 0
    if (tokens > 0) lease.observeOutput(tokens)
    if (!request.stream) return
    lease.observeTtft(outcome.firstTokenAtMs - this.#sentAtMs)
    if (tokens > 1) lease.observeTpot((outcome.lastTokenAtMs - outcome.firstTokenAtMs) / (tokens - 1))
  }

  #end(): void {
    this.#close()
    this.#job.ended()
  }

  #close(): void {
    const { outcome, exchange } = this.#job
    outcome.why = this.#destination?.decision.text()
    this.#attribution?.ended(this.#forwarder.clock.nowMs(), outcome.clientAddress)
    this.#destination?.lease.release()
    this.#pause?.cancel()
    this.#connection = undefined
    exchange.observer = undefined
    this.#forwarder.done(this)
  }
}
