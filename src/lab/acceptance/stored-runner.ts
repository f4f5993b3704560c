import type { RunMetrics } from '#lab/run-metrics.ts'
import type { Runner, RunTask } from '#lab/task.ts'

/** Runs of before, by key. */
export interface RunStore {
  get(key: string): RunMetrics | undefined
  put(key: string, metrics: RunMetrics): void
}

/** A runner that does not run again what is in a store. `keyOf` says what a run depends on, the code included. */
export function storedRunner(runner: Runner, store: RunStore, keyOf: (task: RunTask) => string): Runner {
  return {
    async run(task) {
      const key = keyOf(task)
      const known = store.get(key)
      if (known !== undefined) return known
      const metrics = await runner.run(task)
      store.put(key, metrics)
      return metrics
    },
  }
}
