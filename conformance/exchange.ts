import assert from 'node:assert/strict'
import type { Limits } from '#config/snapshot.ts'
import type { Exchange, ExchangeHandler, ExchangeObserver } from '#contracts/exchange.ts'
import type { ManualClock } from '#core/manual-clock.ts'
import { type Refusal, type RefusalReason, refuse } from '#core/refusal.ts'

/** A request as a client of any version of HTTP sends it. */
export interface DoorRequest {
  readonly method?: string
  readonly path?: string
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  /** Parts that are sent one by one; each waits until the one before has left. */
  readonly body?: readonly Buffer[]
  /** The last part is not followed by an end. */
  readonly isOpen?: boolean
}

/** The answer, as far as it came. */
export interface DoorAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly body: Buffer
  /** Whether the end was reached. */
  readonly isComplete: boolean
}

/** A request under way. */
export interface DoorCall {
  readonly answer: Promise<DoorAnswer>
  /** The client goes away. */
  abort(): void
}

/** A client of a door, with one connection or several. */
export interface DoorClient {
  /** With `reads` false the client takes nothing of the answer. */
  send(request: DoorRequest, reads?: boolean): DoorCall
  close(): void
}

/** A running door. */
export interface RunningDoor {
  readonly client: DoorClient
  readonly clock: ManualClock
  /** Connections of the door. */
  connections(): number
  close(): void
}

/** A way into the gateway: what one version of HTTP does, the others do as well. */
export interface DoorKind {
  readonly name: string
  start(handler: ExchangeHandler, limits: Partial<Limits>): Promise<RunningDoor>
}

/** A property that every door has. */
export interface DoorCase {
  readonly title: string
  run(kind: DoorKind): Promise<void>
}

interface Handled extends Partial<ExchangeHandler> {
  readonly limits?: Partial<Limits>
}

async function withDoor(kind: DoorKind, handled: Handled, test: (door: RunningDoor) => Promise<void>): Promise<void> {
  const { limits = {}, ...handler } = handled
  const whole: ExchangeHandler = {
    begin: () => undefined,
    serve: (exchange) => exchange.reply(200, [], Buffer.from('served')),
    refuse: (exchange, refusal) => exchange.reply(400, ['x-reason', refusal.reason], Buffer.from(refusal.message)),
    ...handler,
  }
  const door = await kind.start(whole, limits)
  try {
    await test(door)
  } finally {
    door.client.close()
    door.close()
  }
}

function observed(): ExchangeObserver & {
  readonly aborts: RefusalReason[]
  drains: number
  readonly gone: Promise<void>
} {
  const { promise: gone, resolve } = Promise.withResolvers<void>()
  return {
    aborts: [],
    drains: 0,
    gone,
    aborted(reason) {
      this.aborts.push(reason ?? ('gone' as RefusalReason))
      resolve()
    },
    drained() {
      this.drains++
    },
  }
}

async function until(what: string, isTrue: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 5000
  while (!isTrue()) {
    assert.ok(performance.now() < deadlineMs, `never ${what}`)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

const post = { method: 'POST', path: '/v1/x?y=%20z' } as const
const text = (...parts: string[]): Buffer[] => parts.map((part) => Buffer.from(part))

/** Everything that holds for every door. */
export const doorCases: readonly DoorCase[] = [
  {
    title: 'a request reaches the handler with head, body and peer, and the answer the client',
    run: (kind) => {
      const seen: Exchange[] = []
      const serve = (exchange: Exchange): void => {
        seen.push(exchange)
        exchange.addedHeaders = ['x-added', '1']
        exchange.reply(201, ['x-own', 'a', 'x-own', 'b', 'set-cookie', 'c=1'], Buffer.from('answer'))
      }
      return withDoor(kind, { serve }, async ({ client }) => {
        const headers = { 'X-Two': ['1', '2'], cookie: 'a=1; b=2', host: 'Door.test:80' }
        const answer = await client.send({ ...post, headers, body: text('he', 'llo') }).answer
        const [exchange] = seen
        assert.ok(exchange)
        const { head, body } = exchange
        assert.deepEqual([head.method, head.target], [post.method, post.path])
        const valuesOf = (name: string) => head.headers.filter((_, i) => i % 2 === 1 && head.headers[i - 1] === name)
        assert.deepEqual(valuesOf('host'), ['Door.test:80'])
        assert.equal(valuesOf('x-two').join(', '), '1, 2')
        assert.deepEqual(valuesOf('cookie'), ['a=1; b=2'])
        assert.equal(Buffer.concat([...body.slices]).toString(), 'hello')
        assert.equal(body.bytes, 5)
        assert.equal(exchange.remoteAddress, '127.0.0.1')
        assert.ok(exchange.remotePort > 0)
        assert.deepEqual([exchange.isSecure, exchange.listener, exchange.origin.address], [false, 'test', '127.0.0.1'])
        assert.equal(answer.status, 201)
        assert.equal(answer.body.toString(), 'answer')
        const { 'x-added': added, 'x-own': own, 'content-length': length, date } = answer.headers
        assert.deepEqual([added, own, length], ['1', 'a, b', '6'])
        assert.match(String(date), /GMT$/)
      })
    },
  },
  {
    title: 'a body comes whole, whatever its length and parts',
    run: (kind) => {
      const serve = (exchange: Exchange): void => {
        const whole = Buffer.concat([...exchange.body.slices])
        exchange.reply(200, [], whole)
        exchange.recycleBody()
      }
      return withDoor(kind, { serve, limits: { bodyBytes: 1_000_000 } }, async ({ client }) => {
        for (const sizes of [
          [1],
          [4096, 1, 4096],
          [700_000],
          [1, 2, 3, 100_000, 5],
          Array.from({ length: 300 }, () => 7),
        ]) {
          const parts = sizes.map((size, i) => Buffer.alloc(size, i + 1))
          const { body } = await client.send({ ...post, body: parts }).answer
          assert.ok(body.equals(Buffer.concat(parts)), sizes.join())
        }
      })
    },
  },
  {
    title: 'answers without a body have none, and say how long it would be',
    run: (kind) => {
      const serve = (exchange: Exchange): void => {
        exchange.reply(exchange.head.target === '/none' ? 204 : 200, [], Buffer.from('0123456789'))
      }
      return withDoor(kind, { serve }, async ({ client }) => {
        const head = await client.send({ method: 'HEAD', path: '/' }).answer
        assert.deepEqual([head.status, head.headers['content-length'], head.body.length], [200, '10', 0])
        const none = await client.send({ path: '/none' }).answer
        assert.deepEqual([none.status, none.headers['content-length'], none.body.length], [204, undefined, 0])
        assert.equal((await client.send({}).answer).body.length, 10)
      })
    },
  },
  {
    title: 'a streamed answer comes as written, and its memory is free after a flush',
    run: (kind) => {
      const memory = Buffer.from('..one..')
      const serve = (exchange: Exchange): void => {
        exchange.start(200, ['content-type', 'text/event-stream'], undefined, true)
        exchange.write(memory, 2, 5)
        exchange.write(memory, 0, 0)
        assert.equal(exchange.flush(), true)
        memory.write('two', 2)
        exchange.write(memory, 2, 5)
        exchange.flush()
        exchange.flush()
        memory.write('end', 2)
        exchange.write(memory, 2, 5)
        exchange.end()
        exchange.write(memory, 0, 5)
        exchange.end()
      }
      return withDoor(kind, { serve }, async ({ client }) => {
        memory.write('one', 2)
        const { status, body, isComplete, headers } = await client.send({}).answer
        assert.deepEqual([status, body.toString(), isComplete], [200, 'onetwoend', true])
        assert.deepEqual([headers['content-type'], headers['content-length']], ['text/event-stream', undefined])
      })
    },
  },
  ...brokenAnswers(),
  {
    title: 'a client that stops reading stops the flow until it reads again',
    run: (kind) => {
      const observer = observed()
      const block = Buffer.alloc(64 * 1024, 1)
      let sent = 0
      const fill = (exchange: Exchange): void => {
        while (sent < 40 * 1024 * 1024) {
          exchange.write(block, 0, block.length)
          sent += block.length
          if (!exchange.flush()) return
        }
        exchange.end()
      }
      const serve = (exchange: Exchange): void => {
        exchange.start(200, [], undefined, true)
        observer.drained = () => {
          observer.drains++
          fill(exchange)
        }
        exchange.observer = observer
        fill(exchange)
      }
      return withDoor(kind, { serve }, async ({ client }) => {
        const { body, isComplete } = await client.send({}).answer
        assert.deepEqual([body.length, isComplete], [sent, true])
        assert.ok(observer.drains > 0)
        assert.deepEqual(observer.aborts, [])
      })
    },
  },
  {
    title: 'a client that leaves aborts its exchange, once',
    run: (kind) => {
      const observer = observed()
      const served = Promise.withResolvers<Exchange>()
      const serve = (exchange: Exchange): void => {
        exchange.observer = observer
        served.resolve(exchange)
      }
      return withDoor(kind, { serve }, async ({ client }) => {
        const call = client.send(post)
        const exchange = await served.promise
        call.abort()
        await observer.gone
        exchange.reply(200, [], Buffer.from('late'))
        exchange.start(200, [], undefined, true)
        exchange.write(Buffer.from('late'), 0, 4)
        exchange.flush()
        exchange.end()
        exchange.cut()
        assert.deepEqual([exchange.aborted, observer.aborts], [true, ['gone']])
      })
    },
  },
  {
    title: 'a client that leaves in the middle of a stream aborts it',
    run: (kind) => {
      const observer = observed()
      const served = Promise.withResolvers<void>()
      const serve = (exchange: Exchange): void => {
        exchange.observer = observer
        exchange.start(200, [], undefined, true)
        exchange.write(Buffer.from('begin'), 0, 5)
        exchange.flush()
        served.resolve()
      }
      return withDoor(kind, { serve }, async ({ client, connections }) => {
        const call = client.send(post)
        await served.promise
        call.abort()
        await observer.gone
        assert.deepEqual(observer.aborts, ['gone'])
        client.close()
        await until('without connections', () => connections() === 0)
      })
    },
  },
  {
    title: 'a client that leaves in the middle of its body reaches no handler',
    run: (kind) => {
      let begun = 0
      let served = 0
      const begin = (): undefined => void begun++
      const serve = (): void => void served++
      return withDoor(kind, { begin, serve }, async ({ client, connections }) => {
        const call = client.send({ ...post, headers: { 'content-length': '10' }, body: text('abc'), isOpen: true })
        await until('begun', () => begun === 1)
        call.abort()
        client.close()
        await until('without connections', () => connections() === 0)
        assert.equal(served, 0)
      })
    },
  },
  {
    title: 'a refusal at the head is answered without the body',
    run: (kind) => {
      const begin = (): Refusal => refuse('unknown-path', 'no')
      return withDoor(kind, { begin }, async ({ client }) => {
        const headers = { 'content-length': '1000' }
        const open = await client.send({ ...post, headers, body: text('abc'), isOpen: true }).answer
        assert.deepEqual([open.status, open.headers['x-reason'], open.isComplete], [400, 'unknown-path', true])
        const whole = await client.send({ ...post, body: text('abc') }).answer
        assert.deepEqual([whole.status, whole.headers['x-reason']], [400, 'unknown-path'])
      })
    },
  },
  ...refusals(),
  {
    title: 'a body that stalls is refused at its deadline',
    run: (kind) => {
      let begun = 0
      const begin = (): undefined => void begun++
      return withDoor(kind, { begin, limits: { bodyTimeoutMs: 3000 } }, async ({ client, clock }) => {
        const call = client.send({ ...post, headers: { 'content-length': '10' }, body: text('abc'), isOpen: true })
        await until('begun', () => begun === 1)
        await new Promise((resolve) => setTimeout(resolve, 20))
        clock.advance(2400)
        clock.advance(1200)
        const { status, headers } = await call.answer
        assert.deepEqual([status, headers['x-reason']], [400, 'body-timeout'])
      })
    },
  },
  {
    title: 'a client that takes nothing for too long is cut, and the handler is told why',
    run: (kind) => {
      const block = Buffer.alloc(1024 * 1024, 1)
      let answering: Exchange | undefined
      let blocks = 0
      // The system's buffers take megabytes, and more of them on a busy machine: written on until they are full.
      const fill = (): void => {
        for (let goesOn = true; goesOn && blocks < 64; blocks++) {
          answering?.write(block, 0, block.length)
          goesOn = answering?.flush() ?? false
        }
      }
      const observer = { ...observed(), drained: fill }
      const serve = (exchange: Exchange): void => {
        answering = exchange
        exchange.observer = observer
        exchange.start(200, [], undefined, true)
        fill()
      }
      return withDoor(kind, { serve, limits: { stalledReaderMs: 5000 } }, async ({ client, clock }) => {
        client.send({}, false).answer.catch(() => {})
        await until('served', () => answering !== undefined)
        // What those buffers take is progress, and how long that goes on is the machine's affair.
        for (let i = 0; observer.aborts.length === 0; i++) {
          assert.ok(i < 1000, 'never cut')
          await new Promise((resolve) => setTimeout(resolve, 5))
          clock.advance(500)
        }
        assert.deepEqual(observer.aborts, ['client-too-slow'])
      })
    },
  },
  {
    title: 'an idle connection is closed at its time, and not before',
    run: (kind) =>
      withDoor(kind, { limits: { keepAliveMs: 20_000 } }, async ({ client, clock, connections }) => {
        assert.equal((await client.send({}).answer).status, 200)
        await new Promise((resolve) => setTimeout(resolve, 20))
        clock.advance(18_000)
        assert.equal(connections(), 1)
        clock.advance(4000)
        await until('closed', () => connections() === 0)
      }),
  },
]

/** Answers that cannot be completed: the client must be able to tell. */
function brokenAnswers(): DoorCase[] {
  const answers: readonly (readonly [string, (exchange: Exchange) => void])[] = [
    [
      'cut in the middle of a stream',
      (exchange) => {
        exchange.start(200, [], undefined, true)
        exchange.write(Buffer.from('part'), 0, 4)
        exchange.flush()
        exchange.write(Buffer.from('last'), 0, 4)
        exchange.cut()
      },
    ],
    [
      'shorter than announced',
      (exchange) => {
        exchange.start(200, [], 10, true)
        exchange.write(Buffer.from('part'), 0, 4)
        exchange.flush()
        exchange.end()
      },
    ],
    [
      'longer than announced',
      (exchange) => {
        exchange.start(200, [], 4, true)
        exchange.write(Buffer.from('part'), 0, 4)
        exchange.flush()
        exchange.write(Buffer.from('more'), 0, 4)
        exchange.end()
      },
    ],
    ['cut before it began', (exchange) => exchange.cut()],
  ]
  return answers.map(([what, serve]) => ({
    title: `an answer that is ${what} does not look complete, and harms no other`,
    run: (kind) => {
      let broken = false
      const serveBoth = (exchange: Exchange): void => {
        if (exchange.head.target !== '/broken') return exchange.reply(200, [], Buffer.from('whole'))
        serve(exchange)
        broken = true
      }
      return withDoor(kind, { serve: serveBoth }, async ({ client }) => {
        const answer = await client.send({ path: '/broken' }).answer.catch(() => undefined)
        assert.equal(broken, true)
        // An answer that has its announced length already is complete whatever else was wanted.
        if (what !== 'longer than announced') assert.notEqual(answer?.isComplete, true)
        assert.doesNotMatch(answer?.body.toString() ?? '', /more/)
        // A client may learn of the end of a connection on its next request only.
        const next = await client.send({ path: '/' }).answer.catch(() => client.send({ path: '/' }).answer)
        assert.equal(next.body.toString(), 'whole')
      })
    },
  }))
}

/** Requests that the door itself refuses. */
function refusals(): DoorCase[] {
  const limits = { bodyBytes: 1000, headBytes: 4096, headerCount: 20 }
  const many = Object.fromEntries(Array.from({ length: 21 }, (_, i) => [`x-${i}`, '1']))
  const requests: readonly (readonly [string, DoorRequest, RefusalReason])[] = [
    ['announces too long a body', { ...post, headers: { 'content-length': '1001' }, isOpen: true }, 'body-too-large'],
    [
      'sends too long a body',
      { ...post, body: [Buffer.alloc(900), Buffer.alloc(900)], isOpen: true },
      'body-too-large',
    ],
    ['has too many headers', { ...post, headers: many }, 'head-too-large'],
    ['has too long a head', { ...post, headers: { x: 'y'.repeat(4096) } }, 'head-too-large'],
    ['expects what nobody can do', { ...post, headers: { expect: '200-ok' } }, 'expectation-failed'],
    ['asks for a path with a fragment', { path: '/a#b' }, 'malformed-request'],
    ['asks for a host that is none', { headers: { host: 'door.test:x' } }, 'malformed-request'],
  ]
  return requests.map(([what, request, reason]) => ({
    title: `a request that ${what} is refused as ${reason}, and the next one served`,
    run: (kind) => {
      const seen: string[] = []
      const refuseIt = (exchange: Exchange, refusal: Refusal): void => {
        seen.push(refusal.reason)
        exchange.reply(400, ['x-reason', refusal.reason], Buffer.from(refusal.message))
      }
      return withDoor(kind, { refuse: refuseIt, limits }, async ({ client }) => {
        const { status, headers } = await client.send(request).answer
        assert.deepEqual([status, headers['x-reason'], seen], [400, reason, [reason]])
        assert.equal((await client.send({}).answer).status, 200)
      })
    },
  }))
}
