import type { ScheduleRequest } from '#contracts/schedule.ts'
import type { Clock, Rng } from '#core/clock.ts'
import type { OutcomeDraft } from '#core/outcome.ts'
import { isRefusal, type Refusal, refuse } from '#core/refusal.ts'
import type { InferenceRequest } from '#core/request.ts'
import { adapterIdOf } from '#datastore/adapter-ids.ts'
import type { Destination } from '#proxy/destination.ts'
import type { RouteResult } from '#route/compile-rule.ts'
import { drawSibling } from '#route/draw-target.ts'
import type { DecisionCapture } from '#schedule/decision-capture.ts'
import type { EndpointPick } from '#schedule/scheduler.ts'
import type { Recording } from './decision-log.ts'
import type { Runtime } from './runtime.ts'

/** What a decision needs beside the request and the runtime. */
export interface DecidePorts {
  readonly outcome: OutcomeDraft
  readonly clock: Clock
  readonly rng: Rng
  /** Undefined when nobody wants to know why. */
  readonly recording?: Recording | undefined
}

const severalModels =
  'The request names no model and the gateway serves several. Name one, or set the x-infer-model header.'

/**
 * Where a request may go: its rule is settled; each call of `choose` picks and reserves an endpoint, of the target that
 * was drawn first as long as it has one for this request, then of its siblings in the rule.
 */
export class Decision {
  readonly #runtime: Runtime
  readonly #ports: DecidePorts
  #route: RouteResult
  #asked: ScheduleRequest
  /** What the try before came to, while it is of the same model server. */
  #previous: EndpointPick | undefined = undefined

  constructor(runtime: Runtime, route: RouteResult, asked: ScheduleRequest, ports: DecidePorts) {
    this.#runtime = runtime
    this.#route = route
    this.#asked = asked
    this.#ports = ports
  }

  /** The last decision in words, for the client; undefined when it did not ask. */
  get explained(): string | undefined {
    return this.#ports.recording?.explained
  }

  /**
   * The best endpoint but for the slots in `tried`, reserved in the same step; after a failure the next best one, as long as
   * that decision holds. Once per try.
   */
  choose(tried: readonly number[]): Destination | Refusal {
    if (tried.length > 0) this.#prepareRetry(tried)
    const { outcome, recording } = this.#ports
    const capture = recording?.capture(this.#asked)
    const pick = this.#pick(tried, capture)
    if (capture !== undefined) recording?.keep(capture)
    this.#previous = isRefusal(pick) ? undefined : pick
    if (isRefusal(pick)) return pick
    const { modelServer, endpoint, lease, decision } = pick
    outcome.scorerFallback ??= decision.fallback
    outcome.reachableTokens = pick.reachableTokens
    outcome.realizedTokens = pick.realizedTokens
    outcome.prefixCopies = pick.prefixCopies
    const { upstreamModel } = this.#route
    return { modelServer, endpoint, lease, decision, upstreamModel, explained: this.explained }
  }

  #pick(tried: readonly number[], capture: DecisionCapture | undefined): EndpointPick | Refusal {
    const { scheduler } = this.#runtime
    const previous = tried.length > 0 ? this.#previous : undefined
    return previous === undefined
      ? scheduler.pick(this.#route.modelServer, this.#asked, tried, capture)
      : scheduler.pickNext(previous, this.#asked, tried, capture)
  }

  /**
   * Moves on to a sibling when the target has no endpoint left that works, as far as is known; endpoints that rest or
   * are ejected come last. Siblings whose every endpoint has failed the request are not drawn.
   */
  #prepareRetry(tried: readonly number[]): void {
    const { scheduler } = this.#runtime
    const { clock, rng, outcome } = this.#ports
    this.#asked = { ...this.#asked, nowMs: clock.nowMs() }
    for (const allowResting of [false, true]) {
      const isUsable = (key: string): boolean => scheduler.isUsable(key, allowResting, tried)
      if (isUsable(this.#route.modelServer)) return
      const sibling = drawSibling(this.#route, isUsable, rng)
      if (sibling === undefined) continue
      outcome.skippedTargets = [...outcome.skippedTargets, this.#route.modelServer]
      this.#route = sibling
      this.#previous = undefined
      this.#asked = { ...this.#asked, model: sibling.engineModel }
      return
    }
  }
}

/** route -> schedule, shared by all doors: which model server now, which endpoint when the proxy asks. */
export function decide(request: InferenceRequest, runtime: Runtime, ports: DecidePorts): Decision | Refusal {
  const { scheduler, routes, onlyModel } = runtime
  const { outcome, clock, rng } = ports
  const model = request.model === '' ? onlyModel : request.model
  if (model === undefined) return refuse('missing-model', severalModels, { param: 'model' })
  const chosen = runtime.choose?.(request.headers)
  if (isRefusal(chosen)) return chosen
  const route = routes.route({ model, headers: request.headers, path: request.path }, scheduler.isUsable, rng)
  if (isRefusal(route)) return route
  outcome.route = route.route
  outcome.skippedTargets = route.skippedTargets
  const asked: ScheduleRequest = {
    model: route.engineModel,
    adapter: route.isAdapter ? adapterIdOf(runtime.adapterIds, model) : -1,
    headers: request.headers,
    body: request.body,
    promptSpans: request.promptSpans,
    promptBytes: request.promptBytes,
    maxTokens: request.maxTokens,
    session: runtime.sessionOf(route.sessions)(request),
    cacheSalt: request.cacheSalt,
    stream: request.stream,
    profile: chosen ?? route.profile,
    nowMs: clock.nowMs(),
  }
  return new Decision(runtime, route, asked, ports)
}
