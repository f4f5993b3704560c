import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { manualClock } from '#core/manual-clock.ts'
import { refuse } from '#core/refusal.ts'
import {
  answers,
  engine,
  event,
  eventChunk,
  finish,
  forward,
  ok,
  RecordedExchange,
  type Script,
  setting,
  sseHead,
  until,
} from '#test/forward-case.ts'

const failures: readonly { name: string; script: Script; reason: string }[] = [
  { name: 'resets before a byte', script: (socket) => socket.resetAndDestroy(), reason: 'upstream-reset' },
  { name: 'closes before a byte', script: (socket) => socket.end(), reason: 'upstream-reset' },
  { name: 'answers garbage', script: (socket) => socket.write('SSH-2.0-OpenSSH\r\n'), reason: 'upstream-malformed' },
  { name: 'breaks off after its head', script: (socket) => socket.end(sseHead), reason: 'upstream-reset' },
  {
    name: 'breaks off inside the first event',
    script: (socket) => socket.end(`${sseHead}5\r\ndata:\r\n`),
    reason: 'upstream-reset',
  },
  {
    name: 'answers 503',
    script: (socket) => socket.write('HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n'),
    reason: 'status-503',
  },
  {
    name: 'answers 429',
    script: (socket) => socket.write('HTTP/1.1 429 X\r\ncontent-length: 0\r\nretry-after: 7\r\n\r\n'),
    reason: 'status-429',
  },
]

for (const { name, script, reason } of failures) {
  test(`an engine that ${name} is left for another one, and the client sees only the good answer`, async () => {
    const at = setting([await engine(script), await engine(answers)])
    const { exchange, outcome, refusal } = await forward(at)
    assert.equal(refusal, undefined)
    assert.deepEqual([exchange.status, exchange.text, exchange.how], [200, '{}', 'end'])
    assert.deepEqual(
      outcome.failedAttempts.map((attempt) => attempt.reason),
      [reason],
    )
    assert.equal(outcome.attempts, 2)
    if (reason === 'status-429') assert.ok((at.table.restUntilMs[0] ?? 0) > at.clock.nowMs() + 6000)
    finish(at)
  })
}

test('an engine that cannot be reached is left for another one', async () => {
  const gone = await engine(answers)
  gone.server.close()
  const at = setting([gone, await engine(answers)])
  const { outcome, refusal } = await forward(at)
  assert.equal(refusal, undefined)
  assert.deepEqual(
    outcome.failedAttempts.map(({ reason }) => reason),
    ['upstream-unreachable'],
  )
  finish(at)
})

test('a 500 is passed on as it is: another engine would stumble over the same prompt', async () => {
  const failing: Script = (socket) => socket.write('HTTP/1.1 500 X\r\ncontent-length: 3\r\n\r\nbad')
  const at = setting([await engine(failing), await engine(answers)])
  const { exchange, outcome } = await forward(at)
  assert.deepEqual([exchange.status, exchange.text, outcome.attempts, outcome.errorSource], [500, 'bad', 1, 'upstream'])
  finish(at)
})

test('a 503 without another engine is passed on with its body and headers', async () => {
  const busy: Script = (socket) => socket.write('HTTP/1.1 503 X\r\ncontent-length: 4\r\n\r\nbusy')
  const at = setting([await engine(busy)])
  const { exchange, outcome, refusal } = await forward(at)
  assert.equal(refusal, undefined)
  assert.deepEqual([exchange.status, exchange.text, outcome.attempts], [503, 'busy', 1])
  finish(at)
})

test('a stream that breaks off after an event ends with an error event, and is not retried', async () => {
  const breaks: Script = (socket) => socket.end(sseHead + eventChunk + 'ff\r\ndata: {"half')
  const at = setting([await engine(breaks), await engine(answers)])
  const { exchange, outcome } = await forward(at)
  assert.ok(exchange.text.startsWith(event + 'data: {"error":{"message":'), exchange.text)
  assert.ok(exchange.text.endsWith('\n\n'))
  assert.deepEqual([exchange.how, outcome.cut, outcome.refusal, outcome.attempts], ['end', true, 'upstream-reset', 1])
  finish(at)
})

test('a reply of known length that breaks off is cut', async () => {
  const breaks: Script = (socket) =>
    socket.end('HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 10\r\n\r\nabc')
  const at = setting([await engine(breaks)])
  const { exchange, outcome } = await forward(at)
  assert.deepEqual([exchange.text, exchange.how, outcome.cut], ['abc', 'cut', true])
  finish(at)
})

test('a connection that its engine closed while idle is replaced without counting as a failure', async () => {
  // The first connection answers once and is closed when the second request arrives on it.
  const served = new Set<number>()
  const script: Script = (socket, connection) => {
    if (served.has(connection)) return socket.resetAndDestroy()
    served.add(connection)
    socket.write(ok)
  }
  const at = setting([await engine(script)])
  await forward(at)
  const { exchange, outcome } = await forward(at)
  assert.deepEqual([exchange.status, outcome.attempts, outcome.failedAttempts.length], [200, 1, 0])
  assert.equal(at.engines[0]?.connections, 2)
  finish(at)
})

test('a connection that breaks under an engine at work is a failure, and the request is not sent again unasked', async () => {
  // Once every used connection that broke before the answer was taken for one closed while idle, however late.
  const clock = manualClock(1000)
  let asked = 0
  const script: Script = (socket) => {
    if (++asked === 1) return socket.write(ok)
    clock.advance(1500)
    socket.resetAndDestroy()
  }
  const at = setting([await engine(script)], clock)
  const retry = { afterSent: 0 }
  await forward(at, { retry })
  const { refusal } = await forward(at, { retry })
  assert.deepEqual([refusal?.reason, asked, at.table.consecutiveErrors[0]], ['upstream-reset', 2, 1])
  finish(at)
})

test('a try that failed does not count in the time to first byte of the endpoint that answered', async () => {
  const clock = manualClock(1000)
  const late: Script = (socket) => {
    clock.advance(1500)
    socket.resetAndDestroy()
  }
  const at = setting(
    [await engine(late), await engine((socket) => socket.write(`${sseHead}${eventChunk}0\r\n\r\n`))],
    clock,
  )
  await forward(at)
  assert.equal(at.table.ttftMs[1], 0)
  finish(at)
})

test('connections are kept and used again', async () => {
  const at = setting([await engine(answers)])
  for (let i = 0; i < 5; i++) await forward(at)
  assert.equal(at.engines[0]?.connections, 1)
  finish(at)
})

const silences: readonly { name: string; script: Script; advanceMs: number; status: number; reason: string }[] = [
  {
    name: 'never begins to answer',
    script: () => {},
    advanceMs: 2200,
    status: 0,
    reason: 'upstream-first-byte-timeout',
  },
  {
    name: 'sends its head and nothing more',
    script: (socket) => socket.write(sseHead),
    advanceMs: 2200,
    status: 0,
    reason: 'upstream-first-byte-timeout',
  },
  {
    name: 'stalls in mid-stream',
    script: (socket) => socket.write(sseHead + eventChunk),
    advanceMs: 1200,
    status: 200,
    reason: 'upstream-idle-timeout',
  },
]

for (const { name, script, advanceMs, status, reason } of silences) {
  test(`an engine that ${name} is given up at its deadline`, async () => {
    const clock = manualClock(1000)
    const at = setting([await engine(script)], clock)
    const exchange = new RecordedExchange()
    const ended = forward(at, { exchange })
    while (at.engines[0]?.connections === 0 || exchange.status !== status)
      await new Promise((resolve) => setTimeout(resolve, 2))
    await new Promise((resolve) => setTimeout(resolve, 20))
    clock.advance(200)
    clock.advance(advanceMs)
    const { outcome, refusal } = await ended
    assert.equal(refusal?.reason ?? outcome.refusal, reason)
    finish(at)
  })
}

test('an engine that sends its head at once has the time of a first byte for its first content', async () => {
  // Once the head began the shorter pause of mid-stream, which cut streams that waited in the engine's queue.
  const clock = manualClock(1000)
  const sockets: Socket[] = []
  const script: Script = (socket) => {
    sockets.push(socket)
    socket.write(sseHead)
  }
  const at = setting([await engine(script)], clock)
  const exchange = new RecordedExchange()
  const ended = forward(at, { exchange })
  await until(() => sockets.length > 0)
  await new Promise((resolve) => setTimeout(resolve, 20))
  clock.advance(200)
  clock.advance(1600)
  assert.equal(at.forwarder.active, 1)
  sockets[0]?.write(`${eventChunk}0\r\n\r\n`)
  await ended
  assert.deepEqual([exchange.status, exchange.text, exchange.how], [200, event, 'end'])
  finish(at)
})

test('a stream that a drain ends is no fault of its engine', async () => {
  // Once every stream that was cut was booked as the upstream's error.
  const at = setting([await engine((socket) => socket.write(sseHead + eventChunk))])
  const exchange = new RecordedExchange()
  const ended = forward(at, { exchange })
  await until(() => exchange.status === 200)
  at.forwarder.endAll(refuse('draining', 'The gateway ends.'))
  const { outcome } = await ended
  assert.deepEqual([outcome.errorSource, outcome.refusal, outcome.cut], [undefined, 'draining', true])
  assert.ok(exchange.text.includes('"error"'))
  finish(at)
})

test('a client that leaves takes its request from the engine at once', async () => {
  const at = setting([await engine((socket) => socket.write(sseHead + eventChunk))])
  const exchange = new RecordedExchange()
  const ended = forward(at, { exchange })
  while (exchange.status === 0) await new Promise((resolve) => setTimeout(resolve, 2))
  const leftAtMs = performance.now()
  exchange.observer?.aborted()
  const { outcome } = await ended
  assert.equal(outcome.abort, 'answering')
  while (at.engines[0]?.closed === 0) await new Promise((resolve) => setImmediate(resolve))
  assert.ok(performance.now() - leftAtMs < 1000)
  finish(at)
})

test('retries stop at the budget: a fleet in trouble is not asked twice as often', async () => {
  const busy: Script = (socket) => socket.write('HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n')
  const at = setting([await engine(busy), await engine(busy), await engine(answers)])
  let attempts = 0
  for (let i = 0; i < 40; i++) attempts += (await forward(at)).outcome.attempts
  // Ten free retries and 20 % of 40 requests.
  assert.ok(attempts <= 40 + 10 + 8, String(attempts))
  finish(at)
})
