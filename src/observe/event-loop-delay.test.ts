import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '#core/clock.ts'
import { manualClock } from '#core/manual-clock.ts'
import { allMetrics, metrics } from './catalog.ts'
import { watchEventLoop } from './event-loop-delay.ts'
import { createMetricColumns, metricBufferBytes } from './metric-columns.ts'

test('each tick counts how late it came, until the watch is closed', () => {
  const buffer = new SharedArrayBuffer(metricBufferBytes)
  const cells = new Float64Array(buffer)
  let offset = 0
  const columns = createMetricColumns({
    buffer,
    definitions: allMetrics,
    onSeries: (series) => {
      offset = series.offset
    },
  })
  const base = manualClock()
  let lateMs = 0
  const clock: Clock = {
    wallMs: base.wallMs,
    nowMs: () => base.nowMs() + lateMs,
    after: (delayMs, fire) => base.after(delayMs, fire),
  }
  const watch = watchEventLoop({ columns, clock, thread: '0' })
  base.advance(40)
  lateMs = 300
  base.advance(20)
  const counts = [...cells.subarray(offset + 1, offset + 2 + metrics.eventLoopDelay.buckets.length)]
  assert.equal(counts[0], 2)
  assert.equal(counts[metrics.eventLoopDelay.buckets.indexOf(0.5)], 1)
  assert.equal(cells[offset], 0.3)
  watch.close()
  base.advance(1000)
  assert.equal(base.pending(), 0)
})
