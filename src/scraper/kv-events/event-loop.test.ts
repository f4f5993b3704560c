import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EndpointPlan, ModelServerPlan } from '#config/snapshot.ts'
import { Fault } from '#core/fault.ts'
import { manualClock } from '#core/manual-clock.ts'
import type { GetAnswer } from '#scraper/get-port.ts'
import { PrefixIndex, prefixIndexMemory } from '#struct/prefix-index.ts'
import { stored } from './event-case.ts'
import { type EventLoopPorts, KvEventLoop } from './event-loop.ts'
import type { EventListener, EventSource } from './event-sockets.ts'

interface Opened {
  readonly source: EventSource
  readonly listener: EventListener
  isClosed: boolean
}

function caseOf(load?: EventLoopPorts['load']) {
  const opened: Opened[] = []
  const faults: string[] = []
  const asked: string[] = []
  const answers: GetAnswer[] = []
  let hanging: ((answer: GetAnswer) => void) | undefined
  const units = new Int32Array(4096)
  const clock = manualClock()
  const loop = new KvEventLoop({
    clock,
    index: new PrefixIndex(prefixIndexMemory({ blocks: 1024, blockTokens: 16 })),
    units,
    load:
      load ??
      (() =>
        Promise.resolve((source, listener) => {
          const socket = { source, listener, isClosed: false }
          opened.push(socket)
          return { replay: () => {}, endReplay: () => {}, close: () => void (socket.isClosed = true) }
        })),
    createGetClient: (target) => ({
      get: (path, done) => {
        asked.push(`${target.host}:${target.port}${path}`)
        const answer = answers.shift()
        if (answer === undefined) hanging = done
        else setImmediate(() => done(answer))
      },
      abort: (reason) => hanging?.({ kind: 'failure', reason, message: `aborted: ${reason}` }),
      close: () => {},
    }),
    onState: () => {},
    onFault: (message) => void faults.push(message),
  })
  const apply = async (...plans: readonly Partial<EndpointPlan>[]): Promise<void> => {
    const endpoints = plans.map((plan) => ({ host: '10.0.0.1', port: 8000, generation: 1, ...plan }) as EndpointPlan)
    loop.apply({
      modelServers: [{ key: 'a', endpoints, basePath: '/llm', setHeaders: [] } as unknown as ModelServerPlan],
    })
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve))
  }
  const pass = async (durationMs: number): Promise<void> => {
    clock.advance(durationMs)
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve))
  }
  return { loop, opened, faults, asked, answers, units, clock, apply, pass }
}

const kvEvents = { port: 5557, replayPort: 6000 }

test('each endpoint with events is followed at its own ports, each rank at the next', async () => {
  const { loop, opened, apply } = caseOf()
  await apply({ slot: 1, kvEvents }, { slot: 2, kvEvents, host: 'fd00::1', rank: 3 }, { slot: 3 })
  assert.deepEqual(
    opened.map(({ source }) => source),
    [
      { address: 'tcp://10.0.0.1:5557', replayAddress: 'tcp://10.0.0.1:6000' },
      { address: 'tcp://[fd00::1]:5560', replayAddress: 'tcp://[fd00::1]:6003' },
    ],
  )
  assert.deepEqual(
    loop.status().map(({ slot, state }) => [slot, state]),
    [
      [1, 'broken'],
      [2, 'broken'],
    ],
  )
  loop.close()
  assert.ok(opened.every(({ isClosed }) => isClosed))
})

test('what can be made of an endpoint follows the state of its events, and ends with it', async () => {
  const { loop, opened, units, apply } = caseOf()
  await apply({ slot: 1, kvEvents }, { slot: 2, kvEvents: { port: 5557, replayPort: undefined } })
  for (const { listener } of opened) listener.connected()
  assert.deepEqual([units[1], units[2]], [0, -1])
  opened[0]?.listener.replayEnded()
  opened[1]?.listener.live(4, stored(1, 1, 0, 1))
  assert.deepEqual([units[1], units[2]], [1, -1])
  opened[0]?.listener.disconnected()
  assert.equal(units[1], 0)
  await apply({ slot: 1, kvEvents })
  assert.deepEqual([units[2], opened.map(({ isClosed }) => isClosed)], [0, [false, true]])
  loop.close()
})

test('without the library every endpoint says why it is not followed', async () => {
  const { loop, faults, apply } = caseOf(() => Promise.reject(new Fault('self', 'zeromq is not installed')))
  await apply({ slot: 1, kvEvents })
  assert.deepEqual(faults, ['zeromq is not installed'])
  assert.deepEqual(
    loop.status().map(({ state, reason }) => [state, reason]),
    [['broken', 'zeromq is not installed']],
  )
  loop.close()
})

function told(body: unknown, status = 200): GetAnswer {
  return { kind: 'answer', status, body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)) }
}

/** As vLLM 0.32 writes it, for each rank with the addresses that it has. */
function sources(...addresses: readonly (readonly [endpoint: string, replay: string | null])[]): GetAnswer {
  const of = ([endpoint, replay]: (typeof addresses)[number]) => ({
    enable_kv_cache_events: true,
    publisher: 'zmq',
    endpoint,
    replay_endpoint: replay,
    topic: '',
  })
  return told(Object.fromEntries(addresses.map((each, rank) => [rank, of(each)])))
}

const discover = { port: 5557, replayPort: 6000, discover: true } as const

test('an engine is asked for its ports, for each rank', async () => {
  const { loop, opened, asked, answers, apply } = caseOf()
  const answer = sources(['tcp://*:7001', 'tcp://*:7101'], ['tcp://172.17.0.2:7002', null])
  answers.push(answer, answer)
  await apply({ slot: 1, kvEvents: discover, rank: 0 }, { slot: 2, kvEvents: discover, rank: 1 })
  assert.deepEqual(asked, ['10.0.0.1:8000/llm/kv_event_sources', '10.0.0.1:8000/llm/kv_event_sources'])
  assert.deepEqual(
    opened.map(({ source }) => source),
    [
      { address: 'tcp://10.0.0.1:7001', replayAddress: 'tcp://10.0.0.1:7101' },
      { address: 'tcp://10.0.0.1:7002', replayAddress: undefined },
    ],
  )
  loop.close()
})

for (const [name, answer] of [
  ['has no such path', told('Not Found', 404)],
  ['does not let everybody ask', told('', 403)],
  ['knows no such question', told('', 501)],
  ['answers something else', told('<html>')],
] as const) {
  test(`the ports of the configuration serve where the engine ${name}`, async () => {
    const { loop, opened, answers, apply } = caseOf()
    answers.push(answer)
    await apply({ slot: 1, kvEvents: discover, rank: 2 })
    assert.deepEqual(
      opened.map(({ source }) => source),
      [{ address: 'tcp://10.0.0.1:5559', replayAddress: 'tcp://10.0.0.1:6002' }],
    )
    loop.close()
  })
}

for (const [answer, reason] of [
  [told({}), /publishes no events/],
  [sources(['ipc:///tmp/kv', null]), /publishes at "ipc:\/\/\/tmp\/kv"/],
  [{ kind: 'failure', reason: 'refused', message: 'refused' }, /asked for its ports: refused/],
  // Once the configured ports served then, where another engine of the host may publish, and nobody asked again.
  [told('no healthy upstream', 503), /asked for its ports and answered 503/],
] as const) {
  test(`nothing is followed, and it is said why: ${reason.source}`, async () => {
    const { loop, opened, asked, answers, apply, pass } = caseOf()
    answers.push(answer)
    await apply({ slot: 1, kvEvents: discover })
    assert.equal(opened.length, 0)
    assert.match(loop.status()[0]?.reason ?? '', reason)
    answers.push(sources(['tcp://*:7001', null]))
    await pass(9000)
    assert.equal(asked.length, 1)
    await pass(2000)
    assert.equal(opened[0]?.source.address, 'tcp://10.0.0.1:7001')
    loop.close()
  })
}

test('a reason stays short, whatever the engine answers: once all of it was kept and shown', async () => {
  const { loop, answers, apply } = caseOf()
  answers.push(sources([`ipc://${'x'.repeat(50_000)}`, null]))
  await apply({ slot: 1, kvEvents: discover })
  const { reason = '' } = loop.status()[0] ?? {}
  assert.match(reason, /^the engine publishes at "ipc:\/\/x+, which is no port$/)
  assert.ok(reason.length < 200, `${reason.length}`)
  loop.close()
})

test('an engine that comes back with other ports is followed there', async () => {
  const { loop, opened, asked, answers, apply, pass } = caseOf()
  answers.push(sources(['tcp://*:7001', null]))
  await apply({ slot: 1, kvEvents: discover })
  opened[0]?.listener.connected()
  await pass(30_000)
  assert.equal(asked.length, 1, 'nobody asks while events come')
  opened[0]?.listener.disconnected()
  answers.push(sources(['tcp://*:7001', null]), sources(['tcp://*:7009', null]))
  await pass(500)
  assert.equal(opened.length, 1, 'the same ports: the sockets go on')
  await pass(10_500)
  assert.deepEqual([opened[0]?.isClosed, opened[1]?.source.address], [true, 'tcp://10.0.0.1:7009'])
  loop.close()
})

test('a question that is not answered is given up after two seconds', async () => {
  const { loop, asked, apply, pass } = caseOf()
  await apply({ slot: 1, kvEvents: discover })
  await pass(3000)
  assert.match(loop.status()[0]?.reason ?? '', /aborted: timeout/)
  await pass(10_000)
  assert.equal(asked.length, 2)
  loop.close()
})
