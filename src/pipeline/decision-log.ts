import type { Snapshot } from '#config/snapshot.ts'
import type { ScheduleRequest } from '#contracts/schedule.ts'
import type { Clock } from '#core/clock.ts'
import { headerOf } from '#core/header-list.ts'
import type { InferenceRequest } from '#core/request.ts'
import type { DecisionRing } from '#observe/decision-ring.ts'
import { DecisionCapture } from '#schedule/decision-capture.ts'

/** Request header that asks for an explanation, and response header that gives it. */
const explainHeader = 'x-infer-explain'

/** Longest explanation in a header. */
const maxHeaderLength = 1024

/** What a log of decisions works with. */
export interface DecisionLogPorts {
  readonly ring: DecisionRing
  /** Name of the data thread. */
  readonly thread: string
  readonly clock: Clock
}

/** Says which requests have their decisions recorded, on one thread: those that ask, where they may, and every so many. */
export class DecisionLog {
  readonly #ports: DecisionLogPorts
  #untilNext = 0

  constructor(ports: DecisionLogPorts) {
    this.#ports = ports
  }

  /** The recording of a request's decisions; undefined when nobody wants one. */
  begin({ id, headers }: InferenceRequest, { explain, exposeEndpoint }: ExplainSettings): Recording | undefined {
    const isDue = this.#isDue(explain.recordEvery)
    const asks = explain.isAllowed ? headerOf(headers, explainHeader) : undefined
    const isAsked = asks === '1' || asks === 'true'
    if (!isAsked && !isDue) return undefined
    return new Recording(this.#ports, { requestId: id, isAsked, exposeEndpoint })
  }

  #isDue(every: number): boolean {
    if (every === 0) return false
    if (this.#untilNext > 0) {
      this.#untilNext = Math.min(this.#untilNext, every) - 1
      if (this.#untilNext > 0) return false
    }
    this.#untilNext = every
    return true
  }
}

/** What a configuration says of explanations. */
export type ExplainSettings = Pick<Snapshot, 'explain' | 'exposeEndpoint'>

interface RecordingPlan {
  readonly requestId: string
  /** The client wants to read it. */
  readonly isAsked: boolean
  readonly exposeEndpoint: boolean
}

/** The decisions about one request, try by try. */
export class Recording {
  readonly #ports: DecisionLogPorts
  readonly #plan: RecordingPlan
  #attempts = 0
  #explained: string | undefined = undefined

  constructor(ports: DecisionLogPorts, plan: RecordingPlan) {
    this.#ports = ports
    this.#plan = plan
  }

  /** The last decision as a header for the client; undefined when the client has not asked. */
  get explained(): string | undefined {
    return this.#explained
  }

  /** What watches the next decision; hand it to `keep` when that has been made. */
  capture(request: ScheduleRequest): DecisionCapture {
    const { thread, clock } = this.#ports
    const { requestId } = this.#plan
    return new DecisionCapture({ requestId, attempt: ++this.#attempts, thread, atWallMs: clock.wallMs() }, request)
  }

  keep(capture: DecisionCapture): void {
    this.#ports.ring.add(capture)
    if (this.#plan.isAsked) this.#explained = headerText(capture, this.#plan.exposeEndpoint)
  }
}

/**
 * The decision in a header: `pick=10.0.0.2:8000; runner-up=10.0.0.1:8000; profile=default; reason="..."`. Endpoints are
 * called by their numbers where clients may not know them.
 */
function headerText(capture: DecisionCapture, exposeEndpoint: boolean): string {
  const { chosen, runnerUp, profile, attempt } = capture.head()
  const nameOf = exposeEndpoint ? (id: string): string => id : (id: string): string => `#${capture.numberOf(id)}`
  const parts = [
    `pick=${chosen === undefined ? 'none' : nameOf(chosen)}`,
    ...(runnerUp === undefined ? [] : [`runner-up=${nameOf(runnerUp)}`]),
    `profile=${profile}`,
    ...(attempt > 1 ? [`try=${attempt}`] : []),
    `reason="${capture.reason(nameOf)}"`,
  ]
  return parts
    .join('; ')
    .slice(0, maxHeaderLength)
    .replaceAll(/[^\x20-\x7e]/g, '?')
}
