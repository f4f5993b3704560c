import type { Clock, Timer } from '#core/clock.ts'
import { metrics } from './catalog.ts'
import type { MetricColumns } from './metric-columns.ts'

const intervalMs = 20

/** What `watchEventLoop` needs. */
export interface EventLoopPorts {
  readonly columns: MetricColumns
  readonly clock: Clock
  /** Label value of the thread. */
  readonly thread: string
  /** One number that others may read: the instant (Clock.nowMs) at which this thread last ran its timers. */
  readonly heartbeat?: Float64Array
}

/**
 * Measures how late a timer fires in this thread, 50 times a second, until `close` is called. A stall is counted once,
 * with the part of it that came after the timer was due.
 */
export function watchEventLoop({ columns, clock, thread, heartbeat }: EventLoopPorts): { close(): void } {
  const delay = columns.histogram(metrics.eventLoopDelay, { thread })
  let timer: Timer
  const arm = (): void => {
    const nowMs = clock.nowMs()
    const dueMs = nowMs + intervalMs
    if (heartbeat !== undefined) heartbeat[0] = nowMs
    timer = clock.after(intervalMs, () => {
      delay.observe(Math.max(0, clock.nowMs() - dueMs) / 1000)
      arm()
    })
  }
  arm()
  return { close: () => timer.cancel() }
}
