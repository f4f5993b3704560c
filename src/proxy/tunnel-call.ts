import type { ExchangeObserver } from '#contracts/exchange.ts'
import type { Timer } from '#core/clock.ts'
import type { AttemptReason } from '#core/outcome.ts'
import { isRefusal, type Refusal, type RefusalReason, refuse } from '#core/refusal.ts'
import type { Lease } from '#datastore/lease.ts'
import type { ParsedResponseHead } from '#wire/http1/response-head.ts'
import { Attribution } from './attribution.ts'
import type { Destination } from './destination.ts'
import { failureMessage, isRetryableStatus, retryAfterMs } from './failure.ts'
import type { ForwardJob } from './forwarder.ts'
import { OpenTunnel } from './open-tunnel.ts'
import { type OwnReplyHeaders, replyHeaders } from './reply-headers.ts'
import { type EngineObserver, TunnelSocket } from './tunnel-socket.ts'
import type { Tunnels } from './tunnels.ts'
import { switchProblem, upgradeRequest } from './upgrade-request.ts'

const stage = { waiting: 0, connecting: 1, sent: 2, open: 3, ended: 4 } as const

/**
 * One client that asks for WebSocket: tries endpoints until one switches protocols or gives another answer worth
 * passing on, then hands both sides to an `OpenTunnel`. Ends exactly once; holds the lease for as long as the tunnel
 * is open.
 */
export class TunnelCall implements ExchangeObserver, EngineObserver {
  /** Where `Tunnels` keeps it. */
  position = -1
  readonly #job: ForwardJob
  readonly #tunnels: Tunnels
  #stage: number = stage.waiting
  #destination: Destination | undefined = undefined
  #socket: TunnelSocket | undefined = undefined
  #protocols: readonly string[] = []
  #tunnel: OpenTunnel | undefined = undefined
  readonly #tried: number[] = []
  #retries = 0
  /** Retries after an endpoint that had the handshake. */
  #retriesAfterSent = 0
  #attribution: Attribution | undefined = undefined
  #deadlineMs = Number.POSITIVE_INFINITY
  #pause: Timer | undefined = undefined

  constructor(job: ForwardJob, tunnels: Tunnels) {
    this.#job = job
    this.#tunnels = tunnels
    job.exchange.observer = this
  }

  get #nowMs(): number {
    return this.#tunnels.ports.clock.nowMs()
  }

  /** Tries the first endpoint. */
  start(): void {
    const destination = this.#job.choose(this.#tried)
    if (isRefusal(destination)) this.#refuse(destination)
    else this.#try(destination)
  }

  /** Ends the call from outside. */
  giveUp(refusal: Refusal): void {
    if (this.#tunnel !== undefined) this.#tunnel.giveUp(refusal, this.#nowMs)
    else if (this.#stage !== stage.ended) this.#refuse(refusal)
  }

  /** Compares the deadline of the phase with the clock. */
  checkDeadlines(nowMs: number): void {
    if (this.#tunnel !== undefined) return this.#tunnel.checkDeadline(nowMs)
    if (nowMs < this.#deadlineMs) return
    if (this.#stage === stage.connecting) this.#connectFailed('upstream-connect-timeout')
    else if (this.#stage === stage.sent) this.#attemptFailed('upstream-first-byte-timeout', false)
  }

  engineConnected(): void {
    this.#stage = stage.sent
    this.#deadlineMs = this.#nowMs + (this.#destination?.modelServer.timeouts.firstByteMs ?? 0)
  }

  engineSwitched(head: ParsedResponseHead): void {
    const destination = this.#destination
    const socket = this.#socket
    if (destination === undefined || socket === undefined) return
    const { exchange, request, outcome } = this.#job
    const problem = switchProblem(head, request.headers, this.#protocols)
    if (problem !== undefined) return this.#notWebSocket(destination)
    this.#stage = stage.open
    this.#deadlineMs = Number.POSITIVE_INFINITY
    exchange.observer = undefined
    outcome.status = 101
    const headers = ['upgrade', 'websocket', 'connection', 'Upgrade', ...replyHeaders(head.headers, this.#own())]
    this.#answered(destination.lease)
    const gauge = this.#tunnels.ports.open(request.model)
    gauge.add(1)
    const tunnel = new OpenTunnel({
      engine: socket,
      outcome,
      clock: this.#tunnels.ports.clock,
      idleMs: destination.modelServer.timeouts.tunnelIdleMs,
      firstByte: (nowMs) => destination.lease.firstByte(nowMs),
      ended: () => {
        gauge.add(-1)
        this.#judge(destination.lease)
        this.#end()
      },
    })
    this.#tunnel = tunnel
    tunnel.client = exchange.tunnel(headers, tunnel)
  }

  engineAnswered(head: ParsedResponseHead, body: Buffer): void {
    const { exchange, outcome } = this.#job
    const destination = this.#destination
    if (destination === undefined) return
    if (isRetryableStatus(head.status) && this.#retryStatus(head, destination)) return
    if (head.status < 300) return this.#notWebSocket(destination)
    if (head.status < 500 && head.status !== 429) this.#answered(destination.lease)
    this.#socket?.destroy()
    outcome.status = head.status
    outcome.responseBytes = body.length
    outcome.upstreamEndAtMs = this.#nowMs
    if (head.status >= 500) outcome.errorSource = 'upstream'
    exchange.reply(head.status, replyHeaders(head.headers, this.#own()), body)
    this.#end()
  }

  engineMalformed(_detail: string): void {
    this.#attemptFailed('upstream-malformed', true)
  }

  engineData(data: Buffer, start: number, end: number): void {
    this.#tunnel?.engineData(data, start, end)
  }

  engineDrained(): void {
    this.#tunnel?.engineDrained()
  }

  engineEnded(): void {
    this.#tunnel?.engineEnded()
  }

  engineClosed(): void {
    if (this.#tunnel !== undefined) this.#tunnel.engineClosed()
    else if (this.#stage === stage.connecting) this.#connectFailed('upstream-unreachable')
    else this.#attemptFailed('upstream-reset', true)
  }

  /** The client has gone before its tunnel was open. */
  aborted(reason?: RefusalReason): void {
    if (this.#stage === stage.ended) return
    const { outcome } = this.#job
    outcome.abort = 'before-first-byte'
    outcome.errorSource = 'client'
    outcome.refusal = reason
    this.#socket?.destroy()
    this.#end()
  }

  drained(): void {
    // Nothing is written to the client before its tunnel is open.
  }

  /** An endpoint that serves something else under this path is not broken: that is for the configuration to mend. */
  #notWebSocket({ lease }: Destination): void {
    this.#answered(lease)
    this.#giveUpTrying('upstream-not-websocket')
  }

  /** An endpoint that answers clears itself, and blames those that failed the request before it. */
  #answered(lease: Lease): void {
    const nowMs = this.#nowMs
    lease.answered(nowMs)
    this.#attribution?.answered(nowMs)
  }

  /** What the end of the tunnel says of the endpoint. */
  #judge(lease: Lease): void {
    if (this.#job.outcome.errorSource === 'upstream') this.#suspect(lease)
    else lease.succeeded(this.#nowMs)
  }

  #try(destination: Destination): void {
    const { exchange, request, outcome } = this.#job
    this.#destination = destination
    outcome.attempts++
    outcome.modelServer = destination.modelServer.key
    outcome.endpoint = destination.endpoint.id
    outcome.upstreamModel = destination.upstreamModel
    const nowMs = this.#nowMs
    if (Number.isNaN(outcome.sentAtMs)) outcome.sentAtMs = nowMs
    this.#stage = stage.connecting
    this.#deadlineMs = nowMs + destination.modelServer.timeouts.connectMs
    const { head, protocols } = upgradeRequest(request, destination, exchange.origin)
    this.#protocols = protocols
    this.#socket = new TunnelSocket(destination, this, this.#tunnels.readBuffer)
    this.#socket.send(head)
  }

  /** An engine's own "not now": try elsewhere if there is an elsewhere; else its answer is passed on as it is. */
  #retryStatus(head: ParsedResponseHead, { lease }: Destination): boolean {
    const { clock } = this.#tunnels.ports
    const nowMs = clock.nowMs()
    const restMs = retryAfterMs(head, clock.wallMs())
    const isPolite = head.status === 429 || restMs > 0
    if (restMs > 0) lease.rest(nowMs + restMs)
    if (isPolite) lease.answered(nowMs)
    else this.#suspect(lease)
    return this.#retry(`status-${head.status}` as AttemptReason, !isPolite)
  }

  /** There was no connection: it cannot be the request's doing. */
  #connectFailed(reason: RefusalReason): void {
    this.#destination?.lease.failed(this.#nowMs)
    if (!this.#retry(reason, false)) this.#giveUpTrying(reason)
  }

  /** The endpoint had the handshake, and broke off or gave up. */
  #attemptFailed(reason: RefusalReason, isRetryable: boolean): void {
    if (this.#destination !== undefined) this.#suspect(this.#destination.lease)
    if (!isRetryable || !this.#retry(reason, true)) this.#giveUpTrying(reason)
  }

  #giveUpTrying(reason: RefusalReason): void {
    this.#noteFailedAttempt(reason)
    this.#refuse(refuse(reason, failureMessage(reason)))
  }

  #suspect(lease: Lease): void {
    this.#attribution ??= new Attribution()
    this.#attribution.suspect(lease)
  }

  /** Goes on with another endpoint; false, with nothing changed, when that may or can not be. */
  #retry(reason: AttemptReason, isAfterSent: boolean): boolean {
    const failed = this.#destination
    if (failed === undefined) return false
    const { attempts, afterSent, intervalMs } = failed.modelServer.retry
    if (this.#retries >= attempts || (isAfterSent && this.#retriesAfterSent >= afterSent)) return false
    this.#tried.push(failed.endpoint.slot)
    const next = this.#job.choose(this.#tried)
    if (isRefusal(next)) return false
    if (!this.#tunnels.ports.budget.take(this.#nowMs)) {
      next.lease.release()
      return false
    }
    this.#retries++
    if (isAfterSent) this.#retriesAfterSent++
    this.#noteFailedAttempt(reason)
    this.#socket?.destroy()
    failed.lease.release()
    this.#stage = stage.waiting
    this.#deadlineMs = Number.POSITIVE_INFINITY
    this.#destination = next
    if (intervalMs <= 0) this.#try(next)
    else {
      this.#pause = this.#tunnels.ports.clock.after(intervalMs, () => {
        if (this.#stage === stage.waiting) this.#try(next)
      })
    }
    return true
  }

  #noteFailedAttempt(reason: AttemptReason): void {
    const destination = this.#destination
    if (destination === undefined) return
    const { outcome } = this.#job
    const attempt = { modelServer: destination.modelServer.key, endpoint: destination.endpoint.id, reason }
    outcome.failedAttempts = [...outcome.failedAttempts, attempt]
  }

  #own(): OwnReplyHeaders {
    const { exchange, request, exposeEndpoint } = this.#job
    return {
      requestId: request.id,
      endpoint: exposeEndpoint ? this.#destination?.endpoint.id : undefined,
      explained: this.#destination?.explained,
      added: this.#destination?.lease.replyHeaders,
      hidesCors: exchange.addedHeaders.length > 0,
    }
  }

  #refuse(refusal: Refusal): void {
    this.#socket?.destroy()
    this.#close()
    this.#job.refused(refusal)
  }

  #end(): void {
    this.#close()
    this.#job.ended()
  }

  #close(): void {
    const { outcome, exchange } = this.#job
    this.#stage = stage.ended
    outcome.why = this.#destination?.decision.text()
    this.#attribution?.ended(this.#nowMs, outcome.clientAddress)
    this.#destination?.lease.release()
    this.#pause?.cancel()
    this.#socket = undefined
    exchange.observer = undefined
    this.#tunnels.done(this)
  }
}
