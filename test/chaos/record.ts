import type { AccessLine } from '#test/end-to-end/support/gateway.ts'
import type { Answer } from './answer-reader.ts'
import type { EngineCall } from './engine-call.ts'
import type { RequestPlan } from './request-plan.ts'

/** What one request went through, as seen from both sides. */
export class Track {
  readonly plan: RequestPlan
  readonly session: number
  /** Deliveries to engines. */
  readonly calls: EngineCall[] = []
  /** How many engines have read the whole request body. */
  bodiesRead = 0
  /** All of the request has left the client. */
  isSent = false
  /** The client left, or does not care: any ending is right that is consistent. */
  hasLeft = false
  /** What the gateway must refuse it with, when the client itself is wrong. */
  mustRefuse: readonly string[] | undefined = undefined
  answer: Answer | undefined = undefined
  /** Nobody waits for its answer any more. */
  isSettled = false
  /** No answer is due: one before it on its connection ended the connection. */
  isForgone = false
  /** This process itself did not run for a while meanwhile: what was late was its own fault. */
  metStall = false
  /** The listener may have been full at the time. */
  metCrowd = false
  line: AccessLine | undefined = undefined
  /** Of the record, when it began. */
  readonly lateMsBefore: number
  readonly startedAtMs: number
  readonly #events: string[] = []

  constructor(plan: RequestPlan, session: number, lateMsBefore: number) {
    this.lateMsBefore = lateMsBefore
    this.plan = plan
    this.session = session
    this.startedAtMs = performance.now()
  }

  /** Adds to the timeline. */
  note(event: string): void {
    if (this.#events.length < 60) this.#events.push(`${(performance.now() - this.startedAtMs).toFixed(0)} ms ${event}`)
  }

  /** The timeline, one event a line. */
  get timeline(): string {
    return this.#events.join('\n    ')
  }
}

/** Something that must never be. */
export interface Violation {
  readonly session: number | undefined
  readonly id: string | undefined
  readonly message: string
  readonly timeline: string
}

const keptViolations = 20
/** A crowd that has left still fills the listener for as long as a busy machine takes to notice. */
const crowdAfterglowMs = 5000
/** So late in all this process may be during a request before a timeout can be its own fault. */
const toleratedLateMs = 500

/** The independent record of a run: what was sent, what engines got, what clients saw, what the gateway logged. */
export class ChaosRecord {
  /** Requests at engines now. */
  busy = 0
  /** Times that an engine went away and came back. */
  restarts = 0
  /** Requests told apart by id, sent in full or not. */
  requests = 0
  violations = 0
  readonly firstViolations: Violation[] = []
  /** How often each kind of violation was seen. */
  readonly violationKinds = new Map<string, number>()
  /** Requests whose end is not known in full. */
  readonly #open = new Map<string, Track>()
  /** Crowds that fill the listener now, and when the last one left. */
  crowds = 0
  lastCrowdAtMs = Number.NEGATIVE_INFINITY
  /** Sum of how late the timers of this process came. */
  lateMs = 0
  /** Requests not judged by a timeout that this process may have caused itself. */
  stalled = 0
  /** Requests that were turned away because of one. */
  crowdedOut = 0
  readonly #left = new Map<string, Track>()
  /** Ids whose line has been seen. */
  readonly #logged = new Set<string>()
  /** Ids that were judged without waiting for a line. */
  readonly #dismissed = new Set<string>()
  readonly #judge: (track: Track, record: ChaosRecord) => void

  constructor(judge: (track: Track, record: ChaosRecord) => void) {
    this.#judge = judge
  }

  /** A request is about to be sent. */
  begin(plan: RequestPlan, session: number): Track {
    const track = new Track(plan, session, this.lateMs)
    this.#open.set(plan.id, track)
    this.requests++
    return track
  }

  /** The request with that id, until its end is known; one whose client left may reach an engine even later. */
  find(id: string): Track | undefined {
    return this.#open.get(id) ?? this.#left.get(id)
  }

  /** Whether the listener was full while it lasted. */
  hasMetCrowd(track: Track): boolean {
    return this.crowds > 0 || this.lastCrowdAtMs > track.startedAtMs - crowdAfterglowMs
  }

  /** The client has seen the end of it, or has left. */
  settle(track: Track, answer: Answer | undefined): void {
    track.answer = answer
    track.isSettled = true
    track.metStall = this.lateMs - track.lateMsBefore > toleratedLateMs
    track.metCrowd = this.hasMetCrowd(track)
    track.note(answer === undefined ? 'the client has no answer' : `the client has ${describeAnswer(answer)}`)
    if (track.line !== undefined) this.#close(track)
    else if (track.mustRefuse !== undefined) {
      // Its id may never have been understood: a line is not due.
      this.#dismissed.add(track.plan.id)
      this.#close(track)
    }
  }

  /** Takes a line of the access log. */
  logged(line: AccessLine): void {
    const id = String(line.request_id)
    const track = this.#open.get(id)
    if (this.#logged.has(id)) this.violation(track, `two lines in the access log: ${JSON.stringify(line)}`)
    if (!/^c\d+-\d+-\d+$/.test(id)) return
    this.#logged.add(id)
    if (this.#dismissed.has(id)) return
    if (track === undefined)
      return this.violation(undefined, `a line of a request that nobody sent: ${JSON.stringify(line)}`)
    track.line = line
    track.note(`the log says ${JSON.stringify(line)}`)
    if (track.isSettled) this.#close(track)
  }

  /** Whether every client has its end; lines may be missing. */
  get unsettled(): number {
    let count = 0
    for (const track of this.#open.values()) if (!track.isSettled) count++
    return count
  }

  /** Requests whose line is still awaited. */
  get unlogged(): number {
    return this.#open.size
  }

  /** At the end: judges what got no line. */
  closeAll(): void {
    for (const track of this.#open.values()) this.#close(track)
  }

  /** Notes something that must never be. */
  violation(track: Track | undefined, message: string): void {
    this.violations++
    const kind = message.replaceAll(/\d+/g, 'N').slice(0, 70)
    this.violationKinds.set(kind, (this.violationKinds.get(kind) ?? 0) + 1)
    if (this.firstViolations.length >= keptViolations) return
    this.firstViolations.push({ session: track?.session, id: track?.plan.id, message, timeline: track?.timeline ?? '' })
  }

  #close(track: Track): void {
    this.#open.delete(track.plan.id)
    if (track.hasLeft || track.answer?.status === 504) this.#left.set(track.plan.id, track)
    this.#judge(track, this)
  }
}

/** An answer in a few words. */
export function describeAnswer({ status, headers, body, isWhole }: Answer): string {
  const reason = headers.get('x-infer-reason')
  const end = body.length > 160 ? `...${body.slice(-160)}` : body
  return `${status}${reason === undefined ? '' : ` (${reason})`}, ${body.length} bytes, ${isWhole ? 'whole' : 'cut'}: ${JSON.stringify(end)}`
}
