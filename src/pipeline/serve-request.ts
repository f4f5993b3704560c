import type { OverloadGuard } from '#admit/overload-guard.ts'
import type { Exchange, ExchangeHandler } from '#contracts/exchange.ts'
import type { Clock, Rng } from '#core/clock.ts'
import { faultFrom } from '#core/fault.ts'
import { headerOf, headerValues } from '#core/header-list.ts'
import { draftOutcome, type OutcomeDraft } from '#core/outcome.ts'
import { isRefusal, type Refusal, refuse } from '#core/refusal.ts'
import type { InferenceRequest } from '#core/request.ts'
import { apiOfPath } from '#dialect/apis.ts'
import type { Recorder } from '#observe/record-outcome.ts'
import { parseHead, pathOf, RequestParser } from '#parse/parse-request.ts'
import type { Forwarder } from '#proxy/forwarder.ts'
import type { Tunnels } from '#proxy/tunnels.ts'
import { viaCount } from '#wire/via.ts'
import { answerJson, answerRefusal } from './answer.ts'
import { isPreflight } from './cors.ts'
import { decide } from './decide.ts'
import type { DecisionLog } from './decision-log.ts'
import { isModelsPath, modelsDocument } from './models.ts'
import { RequestRun } from './request-run.ts'
import type { Runtime } from './runtime.ts'

/** What the HTTP door needs. */
export interface ServePorts {
  readonly forwarder: Forwarder
  readonly tunnels: Tunnels
  /** Asked for every request that would need work, before its body is read. */
  readonly overload: OverloadGuard
  readonly recorder: Recorder
  readonly decisions: DecisionLog
  readonly clock: Clock
  readonly rng: Rng
  readonly newId: () => string
  /** Told about faults of our own, with the request id; they are answered as `internal-error`. */
  readonly onFault: (fault: Error, requestId: string) => void
}

const nothing = Buffer.alloc(0)
const websocketRequired = 'This path speaks WebSocket only. Connect with a WebSocket client, over HTTP/1.1.'
const requestIdPattern = /^[\x21-\x7e]{1,128}$/

/** A request that has come through this software so often goes round in a circle; chains of gateways are shorter. */
const maxOwnHops = 5

/**
 * The HTTP door: parse, decide, proxy, observe. Every request ends in exactly one recorded outcome. Holds the runtime
 * in force; a request in flight keeps the one it started with.
 */
export class RequestServer implements ExchangeHandler {
  runtime: Runtime
  readonly #ports: ServePorts
  readonly #parser = new RequestParser()

  constructor(runtime: Runtime, ports: ServePorts) {
    this.runtime = runtime
    this.#ports = ports
  }

  begin(exchange: Exchange): Refusal | undefined {
    const { head } = exchange
    this.#addCors(exchange)
    if (this.#isPreflight(exchange)) return undefined
    if (isModelsPath(pathOf(head.target))) return undefined
    const overload = this.#ports.overload.refuseNew()
    if (overload !== undefined) return overload
    const api = parseHead(head)
    if (isRefusal(api)) return api
    if (api.form === 'websocket' && !exchange.asksWebSocket) return refuse('websocket-required', websocketRequired)
    const via = headerOf(head.headers, 'via')
    return via === undefined ? undefined : loopRefusal(exchange)
  }

  serve(exchange: Exchange): void {
    const outcome = this.#draft(exchange)
    try {
      this.#serve(exchange, outcome)
    } catch (caught) {
      this.refuseWith(exchange, this.faulted(caught, outcome), outcome)
    }
  }

  faulted(caught: unknown, outcome: OutcomeDraft): Refusal {
    const fault = faultFrom(caught)
    this.#ports.onFault(fault, outcome.requestId)
    outcome.errorSource = fault.source
    return refuse('internal-error', 'The gateway made a mistake. Try again.')
  }

  refuse(exchange: Exchange, refusal: Refusal): void {
    // What the door found before `begin` must be readable for the page that asked, too.
    this.#addCors(exchange)
    this.refuseWith(exchange, refusal, this.#draft(exchange))
  }

  #serve(exchange: Exchange, outcome: OutcomeDraft): void {
    const { runtime } = this
    if (this.#isPreflight(exchange)) return this.#servePreflight(exchange, outcome)
    if (isModelsPath(outcome.path)) return this.#serveModels(exchange, outcome, runtime)
    const api = parseHead(exchange.head)
    if (isRefusal(api)) return this.refuseWith(exchange, api, outcome)
    const request = this.#parser.parse(exchange, api, outcome.requestId)
    if (isRefusal(request)) return this.refuseWith(exchange, request, outcome)
    outcome.model = request.model
    outcome.stream = request.stream
    this.#forward(exchange, request, outcome, runtime)
  }

  #forward(exchange: Exchange, request: InferenceRequest, outcome: OutcomeDraft, runtime: Runtime): void {
    const { forwarder, tunnels, recorder, clock, rng, decisions } = this.#ports
    const recording = decisions.begin(request, runtime.snapshot)
    const decision = decide(request, runtime, { outcome, clock, rng, recording })
    if (isRefusal(decision)) return this.refuseWith(exchange, decision, outcome)
    const { exposeEndpoint } = runtime.snapshot
    const inFlight = recorder.inFlight(request.model)
    inFlight.add(1)
    const run = new RequestRun(this, { exchange, request, outcome, decision, exposeEndpoint, inFlight })
    if (request.api.form === 'websocket') tunnels.open(run)
    else forwarder.forward(run)
  }

  #servePreflight(exchange: Exchange, outcome: OutcomeDraft): void {
    outcome.status = 204
    exchange.reply(204, ['x-request-id', outcome.requestId], nothing)
    this.record(outcome)
  }

  #addCors(exchange: Exchange): void {
    const { cors } = this.runtime
    if (cors === undefined) return
    const { head } = exchange
    exchange.addedHeaders = isPreflight(head) ? cors.preflight(head) : cors.answer(headerOf(head.headers, 'origin'))
  }

  /** Answered whatever its path: browsers ask before they show any refusal. */
  #isPreflight(exchange: Exchange): boolean {
    return this.runtime.cors !== undefined && isPreflight(exchange.head)
  }

  #serveModels(exchange: Exchange, outcome: OutcomeDraft, runtime: Runtime): void {
    const document = modelsDocument(runtime.models, exchange.head.method, outcome.path)
    if (isRefusal(document)) return this.refuseWith(exchange, document, outcome)
    outcome.status = 200
    outcome.responseBytes = document.length
    answerJson(exchange, 200, document, outcome.requestId)
    this.record(outcome)
  }

  /** Answers a refusal and records the outcome. */
  refuseWith(exchange: Exchange, refusal: Refusal, outcome: OutcomeDraft): void {
    outcome.refusal = refusal.reason
    outcome.errorSource ??= sourceOf(refusal)
    outcome.status = answerRefusal(exchange, refusal, outcome.requestId)
    this.record(outcome)
  }

  #draft(exchange: Exchange): OutcomeDraft {
    const { head, body } = exchange
    const outcome = draftOutcome(exchange.startedAtMs)
    const sent = headerOf(head.headers, 'x-request-id')
    outcome.requestId = sent !== undefined && requestIdPattern.test(sent) ? sent : this.#ports.newId()
    outcome.listener = exchange.listener
    outcome.clientAddress = exchange.origin.address
    outcome.method = head.method
    outcome.path = pathOf(head.target)
    outcome.api = apiOfPath(outcome.path)?.name
    outcome.receivedAtMs = this.#ports.clock.nowMs()
    outcome.requestBytes = body.bytes
    return outcome
  }

  /** Records how a request ended; once for each. */
  record(outcome: OutcomeDraft): void {
    outcome.endedAtMs = this.#ports.clock.nowMs()
    this.#ports.recorder.record(outcome)
  }
}

/** Who is to blame for a refusal: the client for what it sent, the upstream for what it did, else nobody. */
function sourceOf(refusal: Refusal): OutcomeDraft['errorSource'] {
  if (refusal.reason.startsWith('upstream-')) return 'upstream'
  return refusal.reason === 'internal-error' ? 'self' : undefined
}

/** The gateway's own address may stand behind one of its models, or behind a peer of it. */
function loopRefusal({ head }: Exchange): Refusal | undefined {
  let hops = 0
  for (const value of headerValues(head.headers, 'via')) hops += viaCount(value)
  if (hops < maxOwnHops) return undefined
  return refuse(
    'loop-detected',
    'The request has come through this gateway several times: an endpoint leads back to it.',
  )
}
