import assert from 'node:assert/strict'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { MessageChannel } from 'node:worker_threads'
import { systemClock } from '#core/clock.ts'
import { manualClock } from '#core/manual-clock.ts'
import { createFdSink, type LogSink, portSink, servePortSink, type WriteCall } from './log-sink.ts'

/** A descriptor whose writes end when told to. */
function heldWrites() {
  const calls: { readonly text: string; readonly end: (error: string | undefined, written: number) => void }[] = []
  const write: WriteCall = (_fd, data, offset, done) => {
    const end = (code: string | undefined, written: number) =>
      done(code === undefined ? null : Object.assign(new Error(code), { code }), written)
    calls.push({ text: data.toString('utf8', offset), end })
  }
  return { calls, write }
}

const written = (sink: LogSink, text: string): Promise<boolean> =>
  new Promise((resolve) => sink.write(Buffer.from(text), resolve))

test('batches are written one after the other, in order', async () => {
  const { calls, write } = heldWrites()
  const sink = createFdSink({ fd: 9, clock: manualClock(), write })
  const results = [written(sink, 'one\n'), written(sink, 'two\n')]
  assert.equal(calls.length, 1)
  calls[0]?.end(undefined, 4)
  assert.equal(calls.length, 2)
  calls[1]?.end(undefined, 4)
  assert.deepEqual(await Promise.all(results), [true, true])
  assert.deepEqual(
    calls.map(({ text }) => text),
    ['one\n', 'two\n'],
  )
})

test('a short write goes on where it stopped', async () => {
  const { calls, write } = heldWrites()
  const sink = createFdSink({ fd: 9, clock: manualClock(), write })
  const result = written(sink, 'abcdef')
  calls[0]?.end(undefined, 2)
  calls[1]?.end(undefined, 4)
  assert.equal(calls[1]?.text, 'cdef')
  assert.equal(await result, true)
})

test('a pipe that is full is asked again after 10 ms', async () => {
  const { calls, write } = heldWrites()
  const clock = manualClock()
  const sink = createFdSink({ fd: 9, clock, write })
  const result = written(sink, 'abc')
  calls[0]?.end('EAGAIN', 0)
  clock.advance(9)
  assert.equal(calls.length, 1)
  clock.advance(1)
  calls[1]?.end(undefined, 3)
  assert.equal(await result, true)
})

test('a reader that is gone fails the batch, and the next one is tried', async () => {
  const { calls, write } = heldWrites()
  const sink = createFdSink({ fd: 9, clock: manualClock(), write })
  const results = [written(sink, 'one'), written(sink, 'two')]
  calls[0]?.end('EPIPE', 0)
  calls[1]?.end('EPIPE', 0)
  assert.deepEqual(await Promise.all(results), [false, false])
})

test('a batch given from within the end of another is written once', async () => {
  const { calls, write } = heldWrites()
  const sink = createFdSink({ fd: 9, clock: manualClock(), write })
  const second = new Promise<boolean>((resolve) => {
    sink.write(Buffer.from('one'), () => sink.write(Buffer.from('two'), resolve))
  })
  calls[0]?.end(undefined, 3)
  assert.equal(calls.length, 2)
  calls[1]?.end(undefined, 3)
  assert.equal(await second, true)
})

test('while another process writes to the same pipe, lines go in pieces that a pipe does not mix', async () => {
  const { calls, write } = heldWrites()
  let isShared = true
  const sink = createFdSink({ fd: 9, clock: manualClock(), isShared: () => isShared, write })
  const lines = [1000, 3000, 95, 1, 5000, 4095, 10, 4096].map((length, at) => `${String(at).repeat(length)}\n`)
  const result = written(sink, lines.join(''))
  let at = 0
  for (const [index, end] of [2, 4, 5, 6].entries()) {
    const piece = lines.slice(at, end).join('')
    assert.equal(calls[index]?.text.slice(0, piece.length + 1), piece, `piece ${index}`)
    at = end
    isShared = end < 6
    calls[index]?.end(undefined, piece.length)
  }
  const rest = lines.slice(6).join('')
  assert.equal(calls[4]?.text, rest, 'the other process has gone')
  calls[4].end(undefined, rest.length)
  assert.equal(await result, true)
})

test("lines given to a thread's sink reach a real file through the main thread, in order and whole", async () => {
  const dir = mkdtempSync(join(tmpdir(), 'log-sink-'))
  const fd = openSync(join(dir, 'log'), 'a')
  const { port1, port2 } = new MessageChannel()
  servePortSink(port2, createFdSink({ fd, clock: systemClock() }))
  const sink = portSink(port1)
  port1.ref()
  const batches = Array.from({ length: 50 }, (_, i) => `${i} ${'é'.repeat(5000)}\n`)
  const results = await Promise.all(batches.map((batch) => written(sink, batch)))
  assert.ok(results.every(Boolean))
  assert.equal(readFileSync(join(dir, 'log'), 'utf8'), batches.join(''))
  port1.close()
  closeSync(fd)
  rmSync(dir, { recursive: true })
})
