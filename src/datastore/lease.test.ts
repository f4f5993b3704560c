import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createEndpointTable, type EndpointTable, resetSlot } from './endpoint-table.ts'
import { acquire, type Lease, type LeaseAsk, openLeases } from './lease.ts'
import { ejectionPlan } from './snapshot-case.ts'

const slot = 3

const prompt = (tokens: number): LeaseAsk => ({ promptTokens: tokens, uncachedTokens: tokens })

function setUp(): { table: EndpointTable; lease: (tokens?: number) => Lease } {
  const table = createEndpointTable()
  const generation = table.generation[slot] ?? -1
  return { table, lease: (tokens = 100) => acquire(table, { slot, generation }, prompt(tokens), ejectionPlan()) }
}

describe('a lease', () => {
  test('counts its request and prompt from the moment it is acquired', () => {
    const { table, lease } = setUp()
    lease(100)
    lease(20)
    assert.deepEqual([table.inFlight[slot], table.uncachedTokens[slot], openLeases(table)], [2, 120, 2])
  })

  test('takes its prompt out of the pending ones with the first byte, once', () => {
    const { table, lease } = setUp()
    const held = lease(100)
    lease(20)
    held.firstByte(1)
    held.firstByte(2)
    assert.deepEqual([table.inFlight[slot], table.uncachedTokens[slot]], [2, 20])
    held.release()
    assert.deepEqual([table.inFlight[slot], table.uncachedTokens[slot]], [1, 20])
  })

  test('is released once, however often it is released, and not revived by a late first byte', () => {
    const { table, lease } = setUp()
    const held = lease(100)
    held.release()
    held.release()
    held.firstByte(1)
    assert.deepEqual([table.inFlight[slot], table.uncachedTokens[slot], openLeases(table)], [0, 0, 0])
  })

  test('does nothing to an endpoint that has taken over its slot', () => {
    const { table, lease } = setUp()
    const held = lease(100)
    resetSlot(table, slot)
    const other = acquire(table, { slot, generation: table.generation[slot] ?? -1 }, prompt(7), ejectionPlan())
    held.firstByte(5)
    held.observeTtft(5)
    held.observeTpot(5)
    held.rest(1e9)
    for (let i = 0; i < 5; i++) held.failed(5)
    held.release()
    assert.deepEqual([table.inFlight[slot], table.uncachedTokens[slot]], [1, 7])
    assert.deepEqual([table.consecutiveErrors[slot], table.restUntilMs[slot], table.ejected[slot]], [0, 0, 0])
    assert.deepEqual([table.ttftMs[slot], table.tpotMs[slot]], [Number.NaN, Number.NaN])
    other.release()
    assert.equal(openLeases(table), 0)
  })

  test('of a snapshot that is behind counts nowhere', () => {
    const { table } = setUp()
    const held = acquire(table, { slot, generation: (table.generation[slot] ?? 0) - 1 }, prompt(100), ejectionPlan())
    assert.equal(openLeases(table), 0)
    held.release()
    assert.equal(openLeases(table), 0)
  })

  test('counts an enormous prompt as 2^20 tokens', () => {
    const { table, lease } = setUp()
    const held = lease(2 ** 40)
    assert.equal(table.uncachedTokens[slot], 1024 * 1024)
    held.firstByte(1)
    assert.equal(table.uncachedTokens[slot], 0)
  })
})

test('an endpoint rests as long as it asked, and a shorter wish does not cut that', () => {
  const { table, lease } = setUp()
  lease().rest(5000)
  lease().rest(3000)
  assert.equal(table.restUntilMs[slot], 5000)
})

describe('an observation', () => {
  test('is taken as it is when it is the first, then moves the average', () => {
    const { table, lease } = setUp()
    lease().observeTtft(100)
    lease().observeTtft(200)
    lease().observeTpot(10)
    assert.deepEqual([table.ttftMs[slot], table.tpotMs[slot]], [110, 10])
  })

  test('that is no duration is ignored', () => {
    const { table, lease } = setUp()
    for (const value of [Number.NaN, -1, Number.POSITIVE_INFINITY]) lease().observeTtft(value)
    assert.equal(table.ttftMs[slot], Number.NaN)
  })

  test('of tokens that all came at once is ignored: one short answer made an endpoint look endlessly fast', () => {
    const { table, lease } = setUp()
    for (const value of [0, 0.0005, 20]) lease().observeTpot(value)
    assert.equal(table.tpotMs[slot], 20)
  })

  test('carries the time of its first byte, and the latest stays', () => {
    const { table, lease } = setUp()
    const [early, late] = [lease(), lease()]
    early.firstByte(1000)
    late.firstByte(2000)
    late.observeTtft(1)
    early.observeTtft(1)
    assert.equal(table.observedAtMs[slot], 2000)
  })

  test('replaces averages that are more than a minute old', () => {
    const { table, lease } = setUp()
    const [early, late] = [lease(), lease()]
    early.firstByte(1000)
    early.observeTtft(100)
    early.observeTpot(10)
    late.firstByte(61_000)
    late.observeTtft(300)
    assert.deepEqual([table.ttftMs[slot], table.tpotMs[slot]], [300, Number.NaN])
  })
})

describe('a placement', () => {
  /** A lease whose placement writes down what it hears. */
  function heard(): { lease: Lease; events: unknown[] } {
    const table = createEndpointTable()
    const events: unknown[] = []
    const placement = {
      firstToken: (nowMs: number) => events.push(`first token at ${nowMs}`),
      ended: (end: unknown) => events.push(end),
    }
    const row = { slot, generation: table.generation[slot] ?? -1 }
    return { lease: acquire(table, row, { ...prompt(10), placement }, ejectionPlan()), events }
  }

  test('hears of the first token and of the end, once each', () => {
    const { lease, events } = heard()
    lease.firstByte(5)
    lease.firstByte(6)
    lease.observeOutput(42)
    lease.release()
    lease.release()
    assert.deepEqual(events, ['first token at 5', { isAnswered: true, outputTokens: 42 }])
  })

  test('hears that nothing came, and nothing after that', () => {
    const { lease, events } = heard()
    lease.release()
    lease.firstByte(5)
    assert.deepEqual(events, [{ isAnswered: false, outputTokens: Number.NaN }])
  })
})

describe('the prefill time of an endpoint', () => {
  const observe = (table: EndpointTable, tokens: number, ttftMs: number): number => {
    const row = { slot, generation: table.generation[slot] ?? -1 }
    const lease = acquire(table, row, prompt(tokens), ejectionPlan())
    lease.firstByte(ttftMs)
    lease.observeTtft(ttftMs)
    lease.release()
    return table.prefillUs[slot] ?? Number.NaN
  }

  test('is learned from long prompts, work ahead included, and not from short ones', () => {
    const table = createEndpointTable()
    assert.equal(observe(table, 100, 500), Number.NaN)
    assert.equal(observe(table, 1000, 70), 50)
    const ahead = acquire(table, { slot, generation: table.generation[slot] ?? -1 }, prompt(9000), ejectionPlan())
    assert.ok(Math.abs(observe(table, 1000, 520) - 50) < 1e-9)
    ahead.release()
  })

  test('moves slowly and is not thrown by one that waited long for another reason', () => {
    const table = createEndpointTable()
    observe(table, 1000, 70)
    assert.ok(observe(table, 1000, 60_000) < 53)
    for (let i = 0; i < 200; i++) observe(table, 1000, 120)
    assert.ok(Math.abs((table.prefillUs[slot] ?? 0) - 100) < 1)
  })
})
