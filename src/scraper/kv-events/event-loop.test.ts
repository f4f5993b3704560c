import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EndpointPlan, ModelServerPlan } from '#config/snapshot.ts'
import { Fault } from '#core/fault.ts'
import { manualClock } from '#core/manual-clock.ts'
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
    onState: () => {},
    onFault: (message) => void faults.push(message),
  })
  const apply = async (...plans: readonly Partial<EndpointPlan>[]): Promise<void> => {
    const endpoints = plans.map((plan) => ({ host: '10.0.0.1', generation: 1, ...plan }) as EndpointPlan)
    loop.apply({ modelServers: [{ key: 'a', endpoints } as unknown as ModelServerPlan] })
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { loop, opened, faults, units, clock, apply }
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
