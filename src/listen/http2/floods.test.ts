import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Exchange } from '#contracts/exchange.ts'
import { until } from '#listen/listener-case.ts'
import { codeOf, withDoor } from './door-case.ts'
import { block, flag, frame, get, headOf, number, type } from './raw-client-case.ts'

const calm = 11
const head = flag.endHeaders
const whole = flag.endHeaders | flag.endStream

interface Flood {
  readonly what: string
  /** Frames that open it. */
  readonly first?: readonly Buffer[]
  /** Sent over and over again, with the next stream id. */
  readonly next: (stream: number) => readonly Buffer[]
  /** Requests that may reach the handler. */
  readonly mostServed: number
}

const empty = Buffer.alloc(0)
const floods: readonly Flood[] = [
  {
    what: 'opens streams and resets them',
    next: (stream) => [get(stream), frame(type.reset, 0, stream, number(8))],
    mostServed: 520,
  },
  {
    what: 'makes us reset streams by windows of nothing',
    next: (stream) => [get(stream), frame(type.windowUpdate, 0, stream, number(0))],
    mostServed: 520,
  },
  {
    what: 'makes us reset streams by malformed requests',
    next: (stream) => [frame(type.headers, whole, stream, headOf('GET', '/', 'connection', 'close'))],
    mostServed: 0,
  },
  {
    what: 'makes us reset streams by windows that overflow',
    next: (stream) => [get(stream), frame(type.windowUpdate, 0, stream, number(0x7fffffff))],
    mostServed: 520,
  },
  { what: 'pings', next: () => [frame(type.ping, 0, 0, Buffer.alloc(8))], mostServed: 0 },
  { what: 'sends settings', next: () => [frame(type.settings, 0, 0)], mostServed: 0 },
  {
    what: 'sends empty data',
    first: [frame(type.headers, head, 1, headOf('POST', '/'))],
    next: () => [frame(type.data, 0, 1, empty)],
    mostServed: 0,
  },
  {
    what: 'never ends a header block',
    first: [frame(type.headers, 0, 1, headOf('GET', '/'))],
    next: () => [frame(type.continuation, 0, 1, block('x', 'y'.repeat(100)))],
    mostServed: 0,
  },
  {
    what: 'sends a header block in empty pieces',
    first: [frame(type.headers, 0, 1, headOf('GET', '/'))],
    next: () => [frame(type.continuation, 0, 1, empty)],
    mostServed: 0,
  },
]

for (const { what, first = [], next, mostServed } of floods) {
  test(`a client that ${what} without end is sent away`, () =>
    withDoor({ serve: () => {} }, async ({ client, listener, served }) => {
      client.send(...first)
      let stream = 1
      for (let round = 0; round < 200 && !client.isEnded; round++) {
        const frames: Buffer[] = []
        for (let i = 0; i < 100; i++, stream += 2) frames.push(...next(stream))
        client.send(...frames)
        await nextTurn()
      }
      await client.ended()
      await until('gone', () => listener.connections === 0)
      assert.ok(served.length <= mostServed, `${served.length} were served`)
    }))
}

test('a client that repeats one long header by reference fills no memory', () =>
  withDoor({}, async ({ client, served, refused }) => {
    // 4000 bytes into the dynamic table, then 4000 references of one byte to them.
    const name = Buffer.concat([
      Buffer.from([0x40, 1]),
      Buffer.from('x'),
      Buffer.from([0x7f, 0xa1, 0x1e]),
      Buffer.alloc(4000, 0x61),
    ])
    const bomb = Buffer.concat([headOf('GET', '/'), name, Buffer.alloc(4000, 0x80 | 62)])
    client.send(frame(type.headers, whole, 1, bomb))
    const end = await client.frame((one) => one.stream === 1 || one.type === type.goaway)
    assert.ok(end !== undefined)
    assert.deepEqual([served, refused.filter((reason) => reason !== 'head-too-large')], [[], []])
  }))

test('a proxy that gives up all its streams at once is not sent away', () =>
  withDoor({ serve: () => {} }, async ({ client, served, listener }) => {
    for (let round = 0; round < 2; round++) {
      const streams = Array.from({ length: 256 }, (_, i) => 2 * (round * 256 + i) + 1)
      client.send(...streams.map((stream) => get(stream)))
      await until('served', () => served.length === 256 * (round + 1))
      client.send(...streams.map((stream) => frame(type.reset, 0, stream, number(8))))
      await until('aborted', () => served.every(({ aborted }) => aborted))
    }
    assert.equal(listener.connections, 1)
    client.send(get(2001))
    await until('served on', () => served.length === 513)
  }))

test('answers that break off on our side are not held against the client', () => {
  const serve = (exchange: Exchange): void => {
    exchange.start(200, [], undefined, true)
    exchange.write(Buffer.from('part'), 0, 4)
    exchange.flush()
    exchange.cut()
  }
  return withDoor({ serve }, async ({ client, served, listener }) => {
    for (let round = 0; round < 8; round++) {
      client.send(...Array.from({ length: 100 }, (_, i) => get(2 * (round * 100 + i) + 1)))
      await until('served', () => served.length === 100 * (round + 1))
      await client.frame((one) => one.type === type.reset && one.stream === 200 * round + 199)
    }
    assert.equal(listener.connections, 1)
    const codes = new Set(client.frames.filter((one) => one.type === type.reset).map(({ payload }) => codeOf(payload)))
    assert.deepEqual([...codes], [2])
  })
})

test('calm is asked of who floods us', () =>
  withDoor({}, async ({ client }) => {
    client.send(...Array.from({ length: 400 }, () => frame(type.ping, 0, 0, Buffer.alloc(8))))
    const goaway = await client.frame((one) => one.type === type.goaway)
    assert.equal(codeOf(goaway?.payload, 4), calm)
  }))
