/** Who is to blame when a request fails: calls against real sockets, and what they leave in the endpoint table. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { describe, test } from 'node:test'
import { manualClock } from '#core/manual-clock.ts'
import {
  answers,
  chunkOf,
  engine,
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

const status =
  (code: number, headers = ''): Script =>
  (socket) =>
    socket.write(`HTTP/1.1 ${code} X\r\ncontent-length: 2\r\n${headers}\r\nno`)
const resets: Script = (socket) => socket.resetAndDestroy()
const garbles: Script = (socket) => socket.write('SSH-2.0-OpenSSH\r\n')
const errorEvent: Script = (socket) =>
  socket.write(`${sseHead}${chunkOf('data: {"error":{"message":"no","code":500}}\n\n')}0\r\n\r\n`)
const lateError: Script = (socket) =>
  socket.write(`${sseHead}${eventChunk}${chunkOf('data: {"error":{"message":"no","code":500}}\n\n')}0\r\n\r\n`)
const breaks: Script = (socket) => socket.end(sseHead + eventChunk)

interface Case {
  readonly name: string
  /** In the order in which they are tried; undefined is one that does not accept connections. */
  readonly engines: readonly (Script | undefined)[]
  /** Status that the client gets, or the reason of the refusal. */
  readonly gets: number | string
  /** Failures in the streak, per engine. */
  readonly streaks: readonly number[]
  /** Requests in the window that went well and that did not, per engine; none unless given. */
  readonly windows?: readonly (readonly [good: number, bad: number])[]
  /** Of the first engine: whether its failure counts whoever sees it. */
  readonly isCertain?: boolean
  readonly afterSent?: number
}

const cases: readonly Case[] = [
  {
    name: 'no connection counts at once',
    engines: [undefined, answers],
    gets: 200,
    streaks: [1, 0],
    windows: [
      [0, 1],
      [1, 0],
    ],
    isCertain: true,
  },
  {
    name: 'a reset that another endpoint did not repeat',
    engines: [resets, answers],
    gets: 200,
    streaks: [1, 0],
    isCertain: true,
  },
  {
    name: 'bytes that are no HTTP, and another endpoint did well',
    engines: [garbles, answers],
    gets: 200,
    streaks: [1, 0],
    isCertain: true,
  },
  {
    name: 'a 503 that another endpoint did not repeat',
    engines: [status(503), answers],
    gets: 200,
    streaks: [1, 0],
    isCertain: true,
  },
  {
    name: 'an error event that another endpoint did not repeat',
    engines: [errorEvent, answers],
    gets: 200,
    streaks: [1, 0],
    isCertain: true,
  },
  {
    name: 'a reset that a client error elsewhere clears up',
    engines: [resets, status(400)],
    gets: 400,
    streaks: [1, 0],
    isCertain: true,
  },
  {
    name: 'a reset without another endpoint',
    engines: [resets],
    gets: 'upstream-reset',
    streaks: [1],
    isCertain: false,
  },
  { name: 'a 503 without another endpoint', engines: [status(503)], gets: 503, streaks: [1], isCertain: false },
  { name: 'a stream that breaks off', engines: [breaks], gets: 200, streaks: [1], isCertain: false },
  {
    name: 'an error event behind content',
    engines: [lateError, answers],
    gets: 200,
    streaks: [1, 0],
    isCertain: false,
  },
  { name: 'two resets are the request', engines: [resets, resets], gets: 'upstream-reset', streaks: [0, 0] },
  { name: 'a reset and a 503 are the request', engines: [resets, status(503)], gets: 503, streaks: [0, 0] },
  { name: 'two 503 are the request', engines: [status(503), status(503)], gets: 503, streaks: [0, 0] },
  { name: 'two error events are the request', engines: [errorEvent, errorEvent], gets: 200, streaks: [0, 0] },
  {
    name: 'a reset and a 500 are the request',
    engines: [resets, status(500)],
    gets: 500,
    streaks: [0, 0],
    windows: [
      [0, 0],
      [0, 0],
    ],
  },
  {
    name: 'two resets and a good answer are the first two',
    engines: [resets, resets, answers],
    gets: 200,
    streaks: [1, 1, 0],
    isCertain: true,
    afterSent: 2,
  },
  {
    name: 'no connection counts whatever else there is',
    engines: [undefined, resets, resets],
    gets: 'upstream-reset',
    streaks: [1, 0, 0],
    isCertain: true,
  },
  { name: 'a 500 is never in the streak', engines: [status(500)], gets: 500, streaks: [0], windows: [[0, 1]] },
  { name: 'a 400 is a good answer', engines: [status(400)], gets: 400, streaks: [0], windows: [[1, 0]] },
  { name: 'a 429 is neither good nor bad', engines: [status(429)], gets: 429, streaks: [0], windows: [[0, 0]] },
  {
    name: 'a 503 that says when to come back is no failure',
    engines: [status(503, 'retry-after: 2\r\n')],
    gets: 503,
    streaks: [0],
    windows: [[0, 0]],
  },
]

describe('an endpoint is blamed as far as is known that it was the endpoint', () => {
  for (const { name, engines, gets, streaks, windows, isCertain, afterSent = 1 } of cases) {
    test(name, async () => {
      const running = await Promise.all(engines.map((script) => engine(script ?? answers)))
      running.forEach(({ server }, i) => engines[i] === undefined && server.close())
      const at = setting(running)
      const { exchange, refusal } = await forward(at, { retry: { afterSent } })
      assert.equal(refusal?.reason ?? exchange.status, gets)
      const { consecutiveErrors, streakClient, goodNow, badNow, probe } = at.table
      assert.deepEqual([...consecutiveErrors.subarray(0, engines.length)], streaks)
      if (isCertain !== undefined) assert.equal(streakClient[0] === -1, isCertain)
      windows?.forEach((window, i) => assert.deepEqual([goodNow[i], badNow[i]], window, `window of engine ${i}`))
      assert.ok(probe.every((holder) => holder === 0))
      finish(at)
    })
  }
})

describe('a request that kills engines kills one and as many more as the policy says', () => {
  for (const [afterSent, killed] of [
    [0, 1],
    [1, 2],
    [2, 3],
    [9, 3],
  ] as const) {
    test(`afterSent ${afterSent}: ${killed}`, async () => {
      const at = setting([await engine(resets), await engine(resets), await engine(resets), await engine(resets)])
      const { refusal, outcome } = await forward(at, { retry: { attempts: 2, afterSent } })
      assert.equal(refusal?.reason, 'upstream-reset')
      assert.deepEqual(
        at.engines.map(({ connections }) => connections),
        [1, 1, 1, 1].map((one, i) => (i < killed ? one : 0)),
      )
      assert.equal(outcome.failedAttempts.length, killed)
      finish(at)
    })
  }

  test('an engine that dies under a request on a connection kept open is asked again once, then counts as sent', async () => {
    // Good for its first request; the next one kills it, and nobody listens afterwards.
    const mortal = async () => {
      let served = 0
      const sockets: Socket[] = []
      const made = await engine((socket) => {
        sockets.push(socket)
        if (served++ === 0) return void socket.write(ok)
        made.server.close()
        for (const open of sockets) open.resetAndDestroy()
      })
      return made
    }
    const at = setting([await mortal(), await mortal(), await mortal()])
    // One good request on each, so that each has a connection kept open.
    for (const { id } of at.engines) {
      const only = { ...at, engines: at.engines.filter((other) => other.id === id) }
      assert.equal((await forward(only)).exchange.status, 200)
    }
    const { refusal } = await forward(at, { retry: { attempts: 2, afterSent: 1 } })
    assert.equal(refusal?.reason, 'upstream-reset')
    assert.deepEqual(
      at.engines.map(({ server }) => server.listening),
      [false, false, true],
    )
    finish(at)
  })

  test('an engine without room is no such engine: both further tries are used', async () => {
    const polite = status(503, 'retry-after: 1\r\n')
    const at = setting([await engine(polite), await engine(status(429)), await engine(answers)])
    const { exchange, outcome } = await forward(at, { retry: { attempts: 2, afterSent: 0 } })
    assert.deepEqual([exchange.status, outcome.attempts], [200, 3])
    finish(at)
  })
})

describe('retry-after', () => {
  const headers = [
    { name: 'in seconds', header: 'retry-after: 5\r\n' },
    { name: 'as a date', header: 'retry-after: Thu, 01 Jan 1970 00:16:45 GMT\r\n' },
  ]
  for (const { name, header } of headers) {
    test(`${name} lets the endpoint rest, whether or not another takes the request, and passes on`, async () => {
      for (const others of [0, 1]) {
        const clock = manualClock(1_000_000)
        const rest = await Promise.all(Array.from({ length: others }, () => engine(answers)))
        const at = setting([await engine(status(429, header)), ...rest], clock)
        const { exchange } = await forward(at)
        assert.equal(exchange.status, others === 0 ? 429 : 200)
        if (others === 0) assert.ok(exchange.headers.includes('retry-after'))
        assert.equal(at.table.restUntilMs[0], 1_005_000)
        finish(at)
      }
    })
  }
})

test('an engine that is just starting again loses nobody: it is asked once more after a pause', async () => {
  const first = await engine(answers)
  const { port } = first.server.address() as AddressInfo
  first.server.close()
  await once(first.server, 'close')
  const at = setting([first])
  const ended = forward(at)
  setTimeout(() => first.server.listen(port, '127.0.0.1'), 30)
  const { exchange, outcome } = await ended
  assert.deepEqual([exchange.status, outcome.attempts], [200, 2])
  assert.deepEqual(
    outcome.failedAttempts.map(({ reason }) => reason),
    ['upstream-unreachable'],
  )
  finish(at)
})

test('an engine that is gone for good is asked twice, not more, and not without further tries', async () => {
  for (const [attempts, tries] of [
    [0, 1],
    [1, 2],
    [5, 2],
  ] as const) {
    const gone = await engine(answers)
    gone.server.close()
    const at = setting([gone])
    const { refusal, outcome } = await forward(at, { retry: { attempts } })
    assert.deepEqual([refusal?.reason, outcome.attempts], ['upstream-unreachable', tries])
    finish(at)
  }
})

test('a client that leaves during the pause before a further try leaves nothing behind', async () => {
  const clock = manualClock(1000)
  const gone = await engine(answers)
  gone.server.close()
  const at = setting([gone], clock)
  const exchange = new RecordedExchange()
  const ended = forward(at, { exchange })
  const timers = clock.pending()
  await until(() => clock.pending() > timers)
  exchange.observer?.aborted()
  const { outcome } = await ended
  assert.deepEqual([outcome.abort, outcome.status], ['before-first-byte', 0])
  clock.advance(1000)
  finish(at)
})

test('a probe whose client left makes room for the next', async () => {
  const at = setting([await engine(() => {})])
  at.table.ejected[0] = 1
  const exchange = new RecordedExchange()
  const ended = forward(at, { exchange, isProbe: true })
  await until(() => (at.engines[0]?.connections ?? 0) > 0)
  assert.equal(at.table.probe[0], 1)
  exchange.observer?.aborted()
  await ended
  assert.deepEqual([at.table.probe[0], at.table.ejected[0]], [0, 1])
  finish(at)
})

test('a probe brings its endpoint back with the first content, and a stream that then breaks off counts again', async () => {
  const sockets: Socket[] = []
  const at = setting([await engine((socket) => void sockets.push(socket))])
  at.table.ejected[0] = 1
  const ended = forward(at, { isProbe: true })
  await until(() => sockets.length > 0)
  sockets[0]?.write(sseHead)
  sockets[0]?.write(eventChunk)
  await until(() => at.table.ejected[0] === 0)
  assert.equal(at.table.probe[0], 0)
  sockets[0]?.resetAndDestroy()
  await ended
  assert.equal(at.table.consecutiveErrors[0], 1)
  finish(at)
})
