interface LaterStep {
  readonly dueMs: number
  readonly act: () => void
}

/** What a run still has to do at times of its own, in order of time; equal ones as they were added. */
export class LaterSteps {
  readonly #steps: LaterStep[] = []

  /** When the next one is due; infinity when none is left. */
  get nextMs(): number {
    return this.#steps[0]?.dueMs ?? Number.POSITIVE_INFINITY
  }

  add(dueMs: number, act: () => void): void {
    const index = this.#steps.findLastIndex((step) => step.dueMs <= dueMs)
    this.#steps.splice(index + 1, 0, { dueMs, act })
  }

  /** Does the next one if it is due by now; returns whether it was. */
  act(nowMs: number): boolean {
    const [next] = this.#steps
    if (next === undefined || next.dueMs > nowMs) return false
    this.#steps.shift()
    next.act()
    return true
  }
}
