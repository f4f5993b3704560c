import type { SimCore } from '#sim/api/exchange.ts'
import type { EngineObserver } from '#sim/live-engine.ts'
import { MetricsPage, rustNumber } from '#sim/metrics-page.ts'

/** Counts what the `/metrics` page of llama.cpp's server shows; the averages count from one reading of the page to the next. */
export class LlamacppMetrics {
  readonly observer: EngineObserver
  readonly #core: SimCore
  readonly #sums = { promptS: 0, predictedS: 0, decodes: 0, busySlots: 0, mostTokens: 0 }
  #seen = { promptTokens: 0, promptS: 0, outputTokens: 0, predictedS: 0 }

  constructor(core: SimCore) {
    this.#core = core
    this.observer = {
      onAdmitted: () => {},
      onToken: () => {},
      onFinished: ({ work, produced, admittedMs, firstTokenMs, lastTokenMs }) => {
        this.#sums.promptS += (firstTokenMs - admittedMs) / 1000
        this.#sums.predictedS += (lastTokenMs - firstTokenMs) / 1000
        this.#sums.mostTokens = Math.max(this.#sums.mostTokens, work.promptTokens.length + produced)
      },
      onStep: () => {
        this.#sums.decodes++
        this.#sums.busySlots += core.engine.stats().running
      },
    }
  }

  page(): string {
    const { running, waiting, promptTokens, cachedTokens, outputTokens } = this.#core.engine.stats()
    const { promptS, predictedS, decodes, busySlots, mostTokens } = this.#sums
    const computed = promptTokens - cachedTokens
    const page = new MetricsPage({ number: rustNumber, hasHelp: true })
    const counter = (name: string, help: string, value: number) =>
      page.counter(`llamacpp:${name}`, help, [{ value: sixDigits(value) }])
    const gauge = (name: string, help: string, value: number) =>
      page.gauge(`llamacpp:${name}`, help, [{ value: sixDigits(value) }])
    counter('prompt_tokens_total', 'Number of prompt tokens processed, excluding cached tokens', computed)
    counter('prompt_tokens_cached_total', 'Number of prompt tokens reused from the cache', cachedTokens)
    counter('prompt_seconds_total', 'Total time spent processing prompts', promptS)
    counter('tokens_predicted_total', 'Number of generation tokens processed', outputTokens)
    counter('tokens_predicted_seconds_total', 'Total time spent generating tokens', predictedS)
    counter(
      'n_decode_total',
      'Total number of llama_decode() calls, excluding speculative decoding and multimodal decoding',
      decodes,
    )
    counter('n_tokens_max', 'Largest observed sequence length (prompt + generation)', mostTokens)
    counter('spec_decode_num_draft_tokens_total', 'Speculative: Total draft tokens generated', 0)
    counter('spec_decode_num_accepted_tokens_total', 'Speculative: Total draft tokens accepted by the target model', 0)
    counter('spec_decode_num_drafts_total', 'Speculative: Total speculative decoding verification steps', 0)
    const rates = this.#rates(computed, outputTokens)
    gauge('prompt_tokens_seconds', 'Average prompt throughput in tokens/s', rates.prompt)
    gauge('predicted_tokens_seconds', 'Average generation throughput in tokens/s', rates.predicted)
    gauge('requests_processing', 'Number of requests processing', running)
    gauge('requests_deferred', 'Number of requests deferred', waiting)
    gauge(
      'n_busy_slots_per_decode',
      'Average number of busy slots per llama_decode() call',
      decodes === 0 ? 0 : busySlots / decodes,
    )
    return page.toString()
  }

  /** Tokens a second since the page was read before; 0 when there were none. */
  #rates(promptTokens: number, outputTokens: number): { readonly prompt: number; readonly predicted: number } {
    const { promptS, predictedS } = this.#sums
    const before = this.#seen
    this.#seen = { promptTokens, promptS, outputTokens, predictedS }
    const rate = (tokens: number, seconds: number) => (seconds > 0 ? tokens / seconds : 0)
    return {
      prompt: rate(promptTokens - before.promptTokens, promptS - before.promptS),
      predicted: rate(outputTokens - before.outputTokens, predictedS - before.predictedS),
    }
  }
}

/** Numbers are written as C++ streams do: six digits at most. */
function sixDigits(value: number): number {
  return Number.isInteger(value) ? value : Number(value.toPrecision(6))
}
