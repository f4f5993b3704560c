import { Histogram } from '#sim/histogram.ts'
import type { EngineObserver } from '#sim/live-engine.ts'
import type { Ticket } from '#sim/live-ticket.ts'

/** Histograms that an engine feeds, by the name its page gives them (without prefix). */
export interface EngineHistograms {
  readonly observer: EngineObserver
  readonly ttft: Histogram
  readonly itl: Histogram
  readonly tpot: Histogram
  readonly e2e: Histogram
  readonly queue: Histogram
  readonly inference: Histogram
  readonly prefill: Histogram
  readonly decode: Histogram
  readonly promptTokens: Histogram
  readonly outputTokens: Histogram
  readonly maxTokens: Histogram
  readonly computedTokens: Histogram
  readonly preemptions: Histogram
  readonly paramsN: Histogram
  readonly iteration: Histogram
  /** Requests by why they ended. */
  readonly finished: { stop: number; length: number }
}

/** Bucket bounds; times in seconds. */
export interface HistogramBounds {
  readonly ttft: readonly number[]
  readonly gap: readonly number[]
  readonly request: readonly number[]
  readonly tokens: readonly number[]
  readonly iteration: readonly number[]
}

/** Makes the histograms and the observer that fills them. */
export function engineHistograms(bounds: HistogramBounds): EngineHistograms {
  const histograms = {
    ttft: new Histogram(bounds.ttft),
    itl: new Histogram(bounds.gap),
    tpot: new Histogram(bounds.gap),
    e2e: new Histogram(bounds.request),
    queue: new Histogram(bounds.request),
    inference: new Histogram(bounds.request),
    prefill: new Histogram(bounds.request),
    decode: new Histogram(bounds.request),
    promptTokens: new Histogram(bounds.tokens),
    outputTokens: new Histogram(bounds.tokens),
    maxTokens: new Histogram(bounds.tokens),
    computedTokens: new Histogram(bounds.tokens),
    preemptions: new Histogram([1, 2, 3, 4, 5, 10, 20]),
    paramsN: new Histogram([1, 2, 5, 10, 20]),
    iteration: new Histogram(bounds.iteration),
    finished: { stop: 0, length: 0 },
  }
  const observer: EngineObserver = {
    onAdmitted: () => {},
    onToken: (ticket, gapMs) => (ticket.produced === 1 ? histograms.ttft : histograms.itl).observe(gapMs / 1000),
    onFinished: (ticket) => recordFinished(histograms, ticket),
    onStep: (tokens) => histograms.iteration.observe(tokens),
  }
  return { ...histograms, observer }
}

function recordFinished(histograms: Omit<EngineHistograms, 'observer'>, ticket: Ticket): void {
  const { promptTokens, outputTokens } = ticket.work
  const decodeS = (ticket.lastTokenMs - ticket.firstTokenMs) / 1000
  histograms.e2e.observe((ticket.lastTokenMs - ticket.arrivedMs) / 1000)
  histograms.queue.observe((ticket.admittedMs - ticket.arrivedMs) / 1000)
  histograms.inference.observe((ticket.lastTokenMs - ticket.admittedMs) / 1000)
  histograms.prefill.observe((ticket.firstTokenMs - ticket.admittedMs) / 1000)
  histograms.decode.observe(decodeS)
  histograms.tpot.observe(ticket.produced > 1 ? decodeS / (ticket.produced - 1) : 0)
  histograms.promptTokens.observe(promptTokens.length)
  histograms.outputTokens.observe(ticket.produced)
  histograms.maxTokens.observe(outputTokens)
  histograms.computedTokens.observe(promptTokens.length - ticket.cachedTokens)
  histograms.preemptions.observe(ticket.preemptions)
  histograms.paramsN.observe(1)
  histograms.finished[ticket.work.endsBy]++
}
