import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Exchange, ExchangeHandler } from '#contracts/exchange.ts'
import { manualClock } from '#core/manual-clock.ts'
import { type Refusal, refuse } from '#core/refusal.ts'
import { WriteBudget } from '#listen/write-budget.ts'
import { Bench, get, hold, sweepMs } from './connection-bench.ts'
import { DateText } from './date-text.ts'

const post = (more: string): string => `POST / HTTP/1.1\r\nhost: a\r\n${more}\r\n`

describe('a client that is too slow is sent away, whatever it is slow at', () => {
  const cases: readonly {
    readonly name: string
    /** Sent at once. */
    readonly first: string
    /** Sent every `everyMs` after that. */
    readonly drip: string
    readonly everyMs: number
    /** The refusal and when it comes, from the first byte on. */
    readonly refused: string | undefined
    readonly afterMs: number
  }[] = [
    { name: 'a head that stops', first: 'GET / HT', drip: '', everyMs: 1000, refused: 'head-timeout', afterMs: 10_000 },
    {
      name: 'a head in drips',
      first: 'GET / HTTP/1.1\r\nx: ',
      drip: 'y',
      everyMs: 1000,
      refused: 'head-timeout',
      afterMs: 10_000,
    },
    {
      name: 'a head in drips behind an answered request',
      first: `${get}GET / HTTP/1.1\r\nx: `,
      drip: 'y',
      everyMs: 1000,
      refused: 'head-timeout',
      afterMs: 10_000,
    },
    { name: 'silence', first: '', drip: '', everyMs: 1000, refused: undefined, afterMs: 10_000 },
    { name: 'an empty line and silence', first: '\r\n', drip: '', everyMs: 1000, refused: undefined, afterMs: 10_000 },
    { name: 'silence after an answer', first: get, drip: '', everyMs: 1000, refused: undefined, afterMs: 75_000 },
    {
      name: 'half an empty line after an answer',
      first: `${get}\r`,
      drip: '',
      everyMs: 1000,
      refused: undefined,
      afterMs: 75_000,
    },
    {
      name: 'a body that stops',
      first: post('content-length: 9\r\n'),
      drip: '',
      everyMs: 1000,
      refused: 'body-timeout',
      afterMs: 30_000,
    },
    {
      name: 'a body in drips',
      first: post('content-length: 9999999\r\n'),
      drip: 'y',
      everyMs: 1000,
      refused: 'body-timeout',
      afterMs: 30_000,
    },
    {
      name: 'a body a byte before each pause is over',
      first: post('content-length: 9999999\r\n'),
      drip: 'y',
      everyMs: 29_000,
      refused: 'body-timeout',
      afterMs: 30_000,
    },
    {
      name: 'a chunked body of extensions only',
      first: post('transfer-encoding: chunked\r\n'),
      drip: '1;aaaaaaaa\r\nx\r\n',
      everyMs: 500,
      refused: 'body-timeout',
      afterMs: 30_000,
    },
    {
      name: 'a body that comes at once and then drips',
      first: `${post('content-length: 9999999\r\n')}${'x'.repeat(500_000)}`,
      drip: 'y',
      everyMs: 1000,
      refused: 'body-timeout',
      afterMs: 60_000,
    },
  ]
  for (const { name, first, drip, everyMs, refused, afterMs } of cases) {
    test(`${name}, after ${afterMs / 1000} s`, () => {
      const bench = new Bench()
      if (first !== '') bench.send(first)
      let sinceMs = 0
      const isOver = (): boolean => bench.paper.writableEnded || bench.paper.destroyed
      while (!isOver() && sinceMs < afterMs * 2) {
        bench.pass(sweepMs)
        sinceMs += sweepMs
        if (drip !== '' && sinceMs % everyMs === 0 && !isOver()) bench.send(drip)
      }
      assert.deepEqual(bench.refused, refused === undefined ? [] : [refused])
      assert.ok(sinceMs >= afterMs && sinceMs <= afterMs + 2 * sweepMs, `after ${sinceMs} ms`)
      // What it says after that counts for nothing, and it is gone soon.
      bench.pass(2500)
      assert.deepEqual([bench.paper.destroyed, bench.closed], [true, 1])
    })
  }
})

test('a connection knows since when it is idle', () => {
  const bench = new Bench({}, hold)
  const { connection, clock } = bench
  assert.deepEqual([connection.isBusy, connection.idleSinceMs], [false, 1_000_000])
  clock.advance(3000)
  bench.send(get.slice(0, 5))
  assert.deepEqual([connection.isBusy, connection.idleSinceMs], [true, Number.POSITIVE_INFINITY])
  bench.send(get.slice(5))
  clock.advance(4000)
  bench.served[0]?.reply(200, [], Buffer.alloc(0))
  assert.deepEqual([connection.isBusy, connection.idleSinceMs], [false, 1_007_000])
})

test('a body that comes slowly but steadily is read to its end', () => {
  const bench = new Bench()
  bench.send(post('content-length: 204800\r\n'))
  for (let second = 0; second < 100; second++) {
    bench.send('x'.repeat(2048))
    bench.pass(1000)
  }
  assert.deepEqual([bench.refused, bench.served.length, bench.served[0]?.body.bytes], [[], 1, 204_800])
})

test('a head sent byte by byte takes no more memory than one sent at once', () => {
  const bench = new Bench()
  const text = `GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(5000)}`
  for (const byte of text) bench.send(byte)
  assert.equal(bench.slabsOut, 1)
  bench.send('\r\n\r\n')
  assert.equal(bench.served.length, 1)
})

test('a body sent byte by byte does not take a slab a byte', () => {
  const bench = new Bench({}, hold)
  bench.send(post('transfer-encoding: chunked\r\n'))
  for (let i = 0; i < 3000; i++) for (const byte of '1\r\nx\r\n') bench.send(byte)
  assert.ok(bench.slabsOut <= 2, `${bench.slabsOut} slabs are out`)
  bench.send('0\r\n\r\n')
  assert.equal(Buffer.concat(bench.served[0]?.body.slices ?? []).toString(), 'x'.repeat(3000))
  bench.served[0]?.recycleBody()
  assert.equal(bench.slabsOut, 0)
})

describe('pipelined requests', () => {
  test('thousands of them in one read are answered in order, some at a time', async () => {
    const bench = new Bench()
    const count = 2500
    bench.send(Array.from({ length: count }, (_, i) => `GET /${i} HTTP/1.1\r\nhost:\r\n\r\n`).join(''))
    const first = bench.served.length
    assert.ok(first > 0 && first < 100, `${first} in one turn`)
    while (bench.served.length < count) await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(
      bench.served.map(({ head }) => head.target),
      Array.from({ length: count }, (_, i) => `/${i}`),
    )
  })

  test('whoever does not read the answers gets no more of them', () => {
    const bench = new Bench({}, { serve: (exchange) => exchange.reply(200, [], Buffer.alloc(40_000)) })
    bench.paper.isStalled = true
    bench.send(get.repeat(10))
    assert.equal(bench.served.length, 2)
    assert.equal(bench.connection.isBusy, true)
    bench.paper.take(bench.paper.writableLength)
    assert.equal(bench.served.length, 4)
    bench.pass(59_000)
    assert.equal(bench.paper.destroyed, false)
    bench.pass(3000)
    assert.deepEqual([bench.paper.wasReset, bench.served.length, bench.aborted], [true, 4, []])
  })

  test('input is held up to a bound while an answer is under way', () => {
    const bench = new Bench({}, hold)
    bench.send(get)
    bench.send('x'.repeat(64 * 1024))
    assert.equal(bench.paper.isPaused, false)
    bench.send('x')
    assert.equal(bench.paper.isPaused, true)
    bench.served[0]?.reply(200, [], Buffer.alloc(0))
    assert.equal(bench.paper.isPaused, false)
  })

  test('the last answer of a connection says so, and what follows is not answered', () => {
    const bench = new Bench({ requestsPerConnection: 3 })
    bench.send(get.repeat(5))
    assert.equal(bench.served.length, 3)
    assert.equal(bench.paper.written.match(/connection: close/g)?.length, 1)
    assert.match(bench.paper.written, /connection: close\r\n(?!.*HTTP)/s)
    assert.equal(bench.paper.writableEnded, true)
  })
})

describe('a client that reads slowly', () => {
  const streaming: Partial<ExchangeHandler> = {
    serve(exchange) {
      exchange.start(200, [], undefined, true)
      exchange.write(Buffer.alloc(100_000), 0, 100_000)
      exchange.flush()
    },
  }

  test('is cut when it takes no byte for the time allowed, and the exchange is told why', () => {
    const bench = new Bench({ stalledReaderMs: 5000 }, streaming)
    bench.paper.isStalled = true
    bench.send(get)
    bench.pass(5000)
    assert.equal(bench.paper.destroyed, false)
    bench.pass(1000)
    assert.deepEqual([bench.paper.wasReset, bench.aborted, bench.closed], [true, ['client-too-slow'], 1])
  })

  test('is not cut while it takes some', () => {
    const bench = new Bench({ stalledReaderMs: 5000 }, streaming)
    bench.paper.isStalled = true
    bench.send(get)
    for (let i = 0; i < 20; i++) {
      bench.paper.take(1000)
      bench.pass(4500)
    }
    assert.deepEqual([bench.paper.destroyed, bench.aborted], [false, []])
  })

  test('is not cut in the middle of a last answer that it still reads', () => {
    const bench = new Bench(
      { stalledReaderMs: 5000 },
      { serve: (exchange) => exchange.reply(200, [], Buffer.alloc(90_000)) },
    )
    bench.paper.isStalled = true
    bench.send('GET / HTTP/1.0\r\n\r\n')
    assert.equal(bench.paper.writableEnded, true)
    for (let i = 0; i < 5; i++) {
      bench.pass(4000)
      bench.paper.take(10_000)
    }
    assert.equal(bench.paper.destroyed, false)
    bench.paper.take(bench.paper.writableLength)
    bench.pass(2000)
    assert.deepEqual([bench.paper.destroyed, bench.paper.wasReset], [true, false])
  })

  test('is not cut while it takes less than comes', () => {
    const bench = new Bench({ stalledReaderMs: 5000 }, streaming)
    bench.paper.isStalled = true
    bench.send(get)
    for (let i = 0; i < 20; i++) {
      bench.paper.take(1000)
      bench.connection.write(Buffer.alloc(1001))
      bench.pass(4500)
    }
    assert.equal(bench.paper.destroyed, false)
  })

  test('and holds the most is cut first when all together hold too much', () => {
    const budget = new WriteBudget(200_000)
    const benches = [70_000, 120_000, 80_000].map((bytes) => {
      const bench = new Bench({}, { serve: (exchange) => exchange.start(200, [], bytes, true), budget })
      bench.paper.isStalled = true
      bench.send(get)
      bench.served[0]?.write(Buffer.alloc(bytes), 0, bytes)
      return bench
    })
    const flushed = benches.map(({ served: [exchange] }) => exchange?.flush())
    assert.deepEqual(flushed, [false, false, false])
    assert.deepEqual(
      benches.map(({ aborted }) => aborted),
      [[], ['client-too-slow'], []],
    )
    assert.equal(budget.behind, 2)
    benches[0]?.paper.take(benches[0].paper.writableLength)
    assert.equal(budget.behind, 1)
    for (const { connection } of benches) connection.destroy()
    assert.deepEqual([budget.behind, budget.unsentBytes()], [0, 0])
  })
})

describe('expectations', () => {
  const cases: readonly (readonly [name: string, text: string, answers: readonly string[], open: boolean])[] = [
    ['a client that waits is told to go on', post('expect: 100-continue\r\ncontent-length: 2\r\n'), ['100'], true],
    ['in any case of letters', post('Expect: 100-CONTINUE\r\ncontent-length: 2\r\n'), ['100'], true],
    [
      'one that sends its body at once is not',
      `${post('expect: 100-continue\r\ncontent-length: 2\r\n')}ok`,
      ['200'],
      true,
    ],
    ['nor one that has begun to', `${post('expect: 100-continue\r\ncontent-length: 2\r\n')}o`, [], true],
    ['nor one without a body', post('expect: 100-continue\r\n'), ['200'], true],
    ['nor one that speaks HTTP/1.0', 'POST / HTTP/1.0\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n', [], true],
    ['one that speaks HTTP/1.0 may expect anything', 'GET / HTTP/1.0\r\nexpect: x\r\n\r\n', ['200'], false],
    ['an empty expectation is none', post('expect:\r\n'), ['200'], true],
    ['another expectation fails', post('expect: x\r\n'), ['400'], true],
    ['also beside the known one', post('expect: 100-continue, x\r\ncontent-length: 2\r\n'), ['400'], false],
    [
      'a body that is too large is refused, not asked for',
      post('expect: 100-continue\r\ncontent-length: 99999999999\r\n'),
      ['400'],
      false,
    ],
  ]
  for (const [name, text, answers, open] of cases) {
    test(name, () => {
      const bench = new Bench()
      bench.send(text)
      assert.deepEqual([bench.answers, !bench.paper.writableEnded], [answers, open], bench.paper.written)
    })
  }
})

describe('a request that is refused at its head', () => {
  const no: Partial<ExchangeHandler> = { begin: (): Refusal => refuse('unknown-path', 'No.') }
  test('keeps its connection when it has no body', () => {
    const bench = new Bench({}, no)
    bench.send(get.repeat(2))
    assert.deepEqual([bench.answers, bench.paper.writableEnded], [['400', '400'], false])
  })

  test('keeps its connection when its body has come whole', () => {
    const bench = new Bench({}, no)
    bench.send(`${post('content-length: 5\r\n')}hello${get}`)
    assert.deepEqual([bench.answers, bench.paper.writableEnded], [['400', '400'], false])
  })

  test('ends its connection when its body is still to come, so that it is not read as a request', () => {
    for (const framing of [
      'content-length: 28\r\n',
      'content-length: 28\r\nexpect: 100-continue\r\n',
      'transfer-encoding: chunked\r\n',
    ]) {
      const bench = new Bench({}, no)
      bench.send(post(framing))
      bench.send(get)
      assert.deepEqual([bench.answers, bench.paper.writableEnded], [['400'], true], framing)
      assert.match(bench.paper.written, /connection: close/)
    }
  })
})

describe('the head of an answer', () => {
  const cases: readonly (readonly [
    name: string,
    serve: (exchange: Exchange) => void,
    text: string,
    written: RegExp,
  ])[] = [
    [
      'of the gateway says when it was made',
      (exchange) => exchange.reply(200, ['x', 'y'], Buffer.from('z')),
      get,
      /^HTTP\/1\.1 200 OK\r\ndate: Thu, 01 Jan 1970 00:16:40 GMT\r\nx: y\r\ncontent-length: 1\r\n\r\nz$/,
    ],
    [
      'that an engine gave in place of a WebSocket has one date: it had two once',
      (exchange) => exchange.reply(404, ['date', 'x'], Buffer.from('z')),
      get,
      /^HTTP\/1\.1 404 Not Found\r\ndate: x\r\ncontent-length: 1\r\n\r\nz$/,
    ],
    [
      'of an upstream has the date that the upstream gave it, or none',
      (exchange) => {
        exchange.start(200, ['x', 'y'], 1, true)
        exchange.write(Buffer.from('z'), 0, 1)
        exchange.end()
      },
      get,
      /^HTTP\/1\.1 200 OK\r\nx: y\r\ncontent-length: 1\r\n\r\nz$/,
    ],
    [
      'to HEAD has the length of the body that is left out',
      (exchange) => exchange.reply(200, [], Buffer.from('abc')),
      get.replace('GET', 'HEAD'),
      /content-length: 3\r\n\r\n$/,
    ],
    ['of a 204 has no length', (exchange) => exchange.reply(204, [], Buffer.alloc(0)), get, /GMT\r\n\r\n$/],
    [
      'begins with the headers added to it',
      (exchange) => {
        exchange.addedHeaders = ['vary', 'origin']
        exchange.reply(200, ['x', 'y'], Buffer.alloc(0))
      },
      get,
      /OK\r\nvary: origin\r\ndate: .*\r\nx: y\r\n/,
    ],
    [
      'to HTTP/1.0 promises a connection that was asked for',
      (exchange) => exchange.reply(200, [], Buffer.alloc(0)),
      'GET / HTTP/1.0\r\nconnection: Keep-Alive\r\n\r\n',
      /content-length: 0\r\nconnection: keep-alive\r\n\r\n$/,
    ],
  ]
  for (const [name, serve, text, written] of cases) {
    test(name, () => {
      const bench = new Bench({}, { serve })
      bench.send(text)
      assert.match(bench.paper.written, written)
    })
  }
})

test('a date is made once a second', () => {
  const clock = manualClock(Date.UTC(2026, 0, 2, 3, 4, 5, 678))
  const date = new DateText(clock)
  assert.equal(date.now(), 'Fri, 02 Jan 2026 03:04:05 GMT')
  assert.equal(date.now(), date.now())
  clock.advance(1000)
  assert.equal(date.now(), 'Fri, 02 Jan 2026 03:04:06 GMT')
})
