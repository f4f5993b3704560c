import assert from 'node:assert/strict'
import { test } from 'node:test'
import { manualClock } from '#core/manual-clock.ts'
import { draftOutcome, type Outcome } from '#core/outcome.ts'
import { createAccessLog } from './access-log.ts'

function harness() {
  const clock = manualClock(50_000)
  const batches: { readonly text: string; readonly done: (ok: boolean) => void }[] = []
  let dropped = 0
  const log = createAccessLog({
    clock,
    sink: { write: (batch, done) => void batches.push({ text: batch.toString(), done }) },
    onDropped: (lines) => {
      dropped += lines
    },
  })
  return { clock, batches, log, dropped: () => dropped }
}

const outcome = (more: Partial<Outcome> = {}): Outcome => ({ ...draftOutcome(49_000), status: 200, ...more })

test('lines wait 100 ms for company and then go as one batch', () => {
  const { clock, batches, log } = harness()
  log.write(outcome({ requestId: 'a' }))
  clock.advance(60)
  log.write(outcome({ requestId: 'b' }))
  clock.advance(39)
  assert.equal(batches.length, 0)
  clock.advance(1)
  assert.equal(batches.length, 1)
  assert.match(batches[0]?.text ?? '', /^\{[^\n]*"request_id":"a"[^\n]*\}\n\{[^\n]*"request_id":"b"[^\n]*\}\n$/)
  clock.advance(1000)
  assert.equal(batches.length, 1)
  assert.equal(clock.pending(), 0)
})

test('the time is when the request began', () => {
  const { clock, batches, log } = harness()
  log.write(outcome())
  clock.advance(100)
  assert.match(batches[0]?.text ?? '', /^\{"time":"1970-01-01T00:00:49.000Z"/)
})

test('a batch goes at once when it has 64 KiB', () => {
  const { batches, log } = harness()
  const path = 'x'.repeat(500)
  for (let i = 0; i < 150; i++) log.write(outcome({ path }))
  assert.equal(batches.length, 1)
  const bytes = batches[0]?.text.length ?? 0
  assert.ok(bytes >= 65_536 && bytes < 66_536, `${bytes} bytes`)
})

test('a sink that stands still costs 8 MiB, then lines are dropped and counted, and later lines are written again', () => {
  const { batches, log, dropped, clock } = harness()
  const path = 'x'.repeat(500)
  let written = 0
  while (dropped() === 0 && written < 100_000) {
    log.write(outcome({ path }))
    written++
  }
  const bytes = batches.reduce((sum, { text }) => sum + text.length, 0)
  assert.ok(bytes <= 8 * 1024 * 1024 + 66_000 && bytes > 8 * 1024 * 1024 - 66_000, `${bytes} bytes`)
  log.write(outcome())
  assert.equal(dropped(), 2)
  for (const { done } of batches.splice(0)) done(true)
  log.write(outcome({ requestId: 'after' }))
  clock.advance(100)
  assert.match(batches.map(({ text }) => text).join(''), /"request_id":"after"/)
  assert.equal(dropped(), 2)
})

test('lines of a batch that could not be written count as dropped', () => {
  const { batches, log, dropped, clock } = harness()
  for (let i = 0; i < 3; i++) log.write(outcome())
  clock.advance(100)
  batches[0]?.done(false)
  assert.equal(dropped(), 3)
})

test('flush resolves when what was written before is out, whatever comes after', async () => {
  const { batches, log } = harness()
  await log.flush()
  log.write(outcome({ requestId: 'a' }))
  let flushed = false
  const flush = log.flush().then(() => {
    flushed = true
  })
  log.write(outcome({ requestId: 'b' }))
  void log.flush()
  assert.equal(batches.length, 2)
  await Promise.resolve()
  assert.equal(flushed, false)
  batches[0]?.done(true)
  await flush
  assert.ok(flushed)
})
