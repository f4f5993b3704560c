import type { Span } from '#core/request.ts'
import { noUsage, type Usage } from '#core/usage.ts'
import type { Dialect, EventKind, JsonRecord } from '#dialect/dialect.ts'
import { isJsonRecord } from '#dialect/dialect.ts'
import { eventData, eventEnd, lastEventEnd } from '#wire/sse.ts'
import { ModelFinder } from './model-spans.ts'
import type { ReplyFilter, ReplySink, ReplyWork } from './reply-filter.ts'

/** An event longer than this is passed on in pieces, unread. */
const maxHeldBytes = 256 * 1024

const usageKey = Buffer.from('"usage"')
/** Of SGLang's /generate, in every event. */
const metaKey = Buffer.from('"meta_info"')
/** Error events mention it as a key or as a type, unescaped; texts that quote it have it escaped. */
const errorKey = Buffer.from('"error"')
const dataField = Buffer.from('data:')
const nothing = Buffer.alloc(0)

/**
 * Stream of server-sent events. Passes whole events on, so that a stream which breaks can be ended with a well-formed
 * error; events that arrived together leave together. Only events that mention usage are read, and only streams whose
 * model was renamed are rewritten.
 */
export class SseReply implements ReplyFilter {
  usage: Usage = noUsage
  /** What came so far: a preamble, or an error behind nothing else, or content. The first event mostly settles it. */
  opening: EventKind = 'preamble'
  /** An error came behind content. */
  hasLateError = false
  readonly #dialect: Dialect
  readonly #hideUsage: boolean
  readonly #modelText: Buffer | undefined
  readonly #finder: ModelFinder | undefined
  #usageKey: Buffer | undefined = undefined
  /** The beginning of an event: ours, not the caller's memory. */
  #carry: Buffer | undefined = undefined
  /** No event ends before it. */
  #searchFrom = 0
  /** Inside an event that is too long to hold: its rest passes through. */
  #passing = false
  /** The last two bytes passed on: the blank line that ends the event may be split. */
  #passedEnd: Buffer = nothing

  constructor(dialect: Dialect, work: ReplyWork) {
    this.#dialect = dialect
    this.#hideUsage = work.hideUsage
    this.#modelText = work.clientModel === undefined ? undefined : Buffer.from(JSON.stringify(work.clientModel))
    this.#finder = work.clientModel === undefined ? undefined : new ModelFinder()
  }

  /** True when what went to the client so far ends between two events. */
  get isBetweenEvents(): boolean {
    return !this.#passing
  }

  lengthChange(): number | undefined {
    return this.#hideUsage || this.#finder !== undefined ? undefined : 0
  }

  push(data: Buffer, start: number, end: number, sink: ReplySink): void {
    const carry = this.#carry
    if (carry === undefined) {
      this.#searchFrom = start
      const rest = this.#events(data, start, end, sink)
      if (rest < end) this.#carry = Buffer.from(data.subarray(rest, end))
      return
    }
    const joined = Buffer.concat([carry, data.subarray(start, end)])
    // Of the carry only the end matters: a blank line may be split.
    this.#searchFrom = Math.max(0, carry.length - 3)
    const rest = this.#events(joined, 0, joined.length, sink)
    this.#carry = rest < joined.length ? joined.subarray(rest) : undefined
  }

  finish(sink: ReplySink): void {
    const rest = this.#carry
    this.#carry = undefined
    // Engines end with a blank line; a last event without one is not dispatched by clients, but it is theirs.
    if (rest !== undefined) this.#complete(rest, 0, rest.length, sink)
  }

  /** Passes on what is complete; returns where the incomplete rest begins. */
  #events(data: Buffer, from: number, end: number, sink: ReplySink): number {
    let start = from
    if (this.#passing) {
      start = this.#pass(data, from, end, sink)
      if (this.#passing) return end
    }
    const boundary = lastEventEnd(data, Math.max(start, this.#searchFrom), end)
    if (boundary > start) this.#complete(data, start, boundary, sink)
    const rest = Math.max(boundary, start)
    if (end - rest <= maxHeldBytes) return rest
    this.#passing = true
    this.#passedEnd = nothing
    if (this.opening === 'preamble') this.opening = 'content'
    return this.#pass(data, rest, end, sink)
  }

  /** Inside an event too long to hold: passes it on and returns where it ends, or `end`. */
  #pass(data: Buffer, start: number, end: number, sink: ReplySink): number {
    const seen = Buffer.concat([this.#passedEnd, data.subarray(start, end)])
    const found = eventEnd(seen, 0, seen.length)
    const boundary = found < 0 ? end : found - this.#passedEnd.length + start
    sink.write(data, start, boundary)
    this.#passing = found < 0
    this.#passedEnd = found < 0 ? seen.subarray(Math.max(0, seen.length - 2)) : nothing
    return boundary
  }

  /** One or more whole events. */
  #complete(data: Buffer, start: number, end: number, sink: ReplySink): void {
    const events = data.subarray(start, end)
    if (this.opening === 'preamble') this.#readOpening(data, start, end)
    else if (!endsOrdinarily(data, end) && events.includes(errorKey)) this.#readLate(data, start, end)
    this.#usageKey ??= events.includes(metaKey) ? metaKey : usageKey
    const mentionsUsage = events.includes(this.#usageKey)
    if (!mentionsUsage && this.#finder === undefined) return sink.write(data, start, end)
    let pos = start
    while (pos < end) {
      const found = eventEnd(data, pos, end)
      const next = found < 0 ? end : found
      this.#event(data, { start: pos, end: next }, mentionsUsage, sink)
      pos = next
    }
  }

  /** Looks at one event after the other until one settles what this stream is. */
  #readOpening(data: Buffer, start: number, end: number): void {
    let pos = start
    while (pos < end && this.opening === 'preamble') {
      const found = eventEnd(data, pos, end)
      const next = found < 0 ? end : found
      this.opening = this.#kindOf(data, pos, next)
      pos = next
    }
    if (pos < end && this.opening === 'content') this.#readLate(data, pos, end)
  }

  /** Looks for errors among events that follow content. */
  #readLate(data: Buffer, start: number, end: number): void {
    let pos = start
    while (pos < end && !this.hasLateError) {
      const found = eventEnd(data, pos, end)
      const next = found < 0 ? end : found
      const mentions = data.subarray(pos, next).includes(errorKey)
      this.hasLateError = mentions && this.#kindOf(data, pos, next) === 'error'
      pos = next
    }
  }

  /** An event without data (a comment that keeps the connection alive) says nothing; one that is no JSON is content. */
  #kindOf(data: Buffer, start: number, end: number): EventKind {
    const payload = eventData(data, start, end)
    if (payload === undefined) return data.subarray(start, end).includes(dataField) ? 'content' : 'preamble'
    const record = parseRecord(data.subarray(payload.start, payload.end))
    return record === undefined ? 'content' : this.#dialect.eventKind(record)
  }

  #event(data: Buffer, event: Span, mentionsUsage: boolean, sink: ReplySink): void {
    const payload = eventData(data, event.start, event.end)
    if (payload === undefined) return sink.write(data, event.start, event.end)
    const record = mentionsUsage ? parseRecord(data.subarray(payload.start, payload.end)) : undefined
    if (record !== undefined) {
      this.#noteUsage(record)
      if (this.#hideUsage && this.#dialect.isUsageOnly(record)) return
    }
    this.#rewrite(data, event, payload, sink)
  }

  #noteUsage(record: JsonRecord): void {
    const usage = this.#dialect.usageOf(record)
    if (usage === undefined) return
    this.usage = {
      inputTokens: usage.inputTokens ?? this.usage.inputTokens,
      outputTokens: usage.outputTokens ?? this.usage.outputTokens,
      cachedTokens: usage.cachedTokens ?? this.usage.cachedTokens,
    }
  }

  /** Passes an event on with the client's model name in its payload. */
  #rewrite(data: Buffer, { start, end }: Span, payload: Span, sink: ReplySink): void {
    let pos = start
    if (this.#finder !== undefined && this.#modelText !== undefined) {
      for (const span of this.#finder.find(data, payload.start, payload.end)) {
        sink.write(data, pos, span.start)
        sink.write(this.#modelText, 0, this.#modelText.length)
        pos = span.end
      }
    }
    sink.write(data, pos, end)
  }
}

/**
 * Whether events end as chunks of a chat do, with `]}` or `null}`. Errors come last, or with [DONE] alone behind them, and
 * end otherwise: so the usual chunk need not be searched for one, which would cost a quarter of a microsecond each.
 */
function endsOrdinarily(data: Buffer, end: number): boolean {
  let at = end - 1
  while (data[at] === 0x0a || data[at] === 0x0d) at--
  return data[at] === 0x7d && (data[at - 1] === 0x5d || data[at - 1] === 0x6c)
}

function parseRecord(text: Buffer): JsonRecord | undefined {
  try {
    const value: unknown = JSON.parse(text.toString('utf8'))
    return isJsonRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}
