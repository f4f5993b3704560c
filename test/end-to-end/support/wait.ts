import { setTimeout as delay } from 'node:timers/promises'

/** Resolves after `ms`. */
export function sleep(ms: number): Promise<void> {
  return delay(ms)
}

/** Asks `probe` every few milliseconds until it gives something other than undefined or false; throws after `limitMs`. */
export async function waitFor<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  limitMs = 5000,
): Promise<T> {
  const deadline = performance.now() + limitMs
  for (;;) {
    const value = await probe()
    if (value !== undefined && value !== false) return value
    if (performance.now() > deadline) throw new Error(`after ${limitMs} ms still no ${what}`)
    await delay(5)
  }
}

/** Runs `task` for 0 .. count-1, at most `width` at a time; results in order. */
export async function runMany<T>(count: number, width: number, task: (index: number) => Promise<T>): Promise<T[]> {
  const results: T[] = []
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) {
      const index = next++
      results[index] = await task(index)
    }
  }
  await Promise.all(Array.from({ length: Math.min(width, count) }, worker))
  return results
}
