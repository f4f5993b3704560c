/** Most combinations kept; a real engine keeps all. */
const MAX_COMBINATIONS = 256

/**
 * The series of `vllm:lora_requests_info`: one for each combination of adapters ever in use together, whose value is when it was
 * last true (epoch seconds). Moves only when the engine makes a step.
 */
export class LoraSeries {
  readonly #lastTrueS = new Map<string, number>()

  update(adapters: readonly string[], nowS: number): void {
    this.#lastTrueS.set(adapters.join(','), nowS)
    for (const oldest of this.#lastTrueS.keys()) {
      if (this.#lastTrueS.size <= MAX_COMBINATIONS) break
      this.#lastTrueS.delete(oldest)
    }
  }

  entries(): readonly { readonly adapters: string; readonly lastTrueS: number }[] {
    return [...this.#lastTrueS].map(([adapters, lastTrueS]) => ({ adapters, lastTrueS }))
  }
}
