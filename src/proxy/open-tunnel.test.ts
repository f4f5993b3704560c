import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { Tunnel } from '#contracts/exchange.ts'
import { type ManualClock, manualClock } from '#core/manual-clock.ts'
import { draftOutcome, type OutcomeDraft } from '#core/outcome.ts'
import { refuse } from '#core/refusal.ts'
import { closeFrame } from '#wire/websocket-frames.ts'
import { type EngineEnd, OpenTunnel } from './open-tunnel.ts'

const idleMs = 60_000
const draining = refuse('draining', 'Bye.')

/** One side of a tunnel as the tunnel sees it: takes what is written until told to block. */
class Side implements Tunnel, EngineEnd {
  written = Buffer.alloc(0)
  isBlocked = false
  isPaused = false
  isEnded = false
  isDestroyed = false

  write(data: Buffer, start: number, end: number): boolean {
    assert.equal(this.isEnded || this.isDestroyed, false, 'written behind the end')
    this.written = Buffer.concat([this.written, data.subarray(start, end)])
    return !this.isBlocked
  }
  end(): void {
    this.isEnded = true
  }
  destroy(): void {
    this.isDestroyed = true
  }
  pause(): void {
    this.isPaused = true
  }
  resume(): void {
    this.isPaused = false
  }
}

interface Case {
  readonly tunnel: OpenTunnel
  readonly client: Side
  readonly engine: Side
  readonly outcome: OutcomeDraft
  readonly clock: ManualClock
  readonly ends: () => number
  readonly firstBytes: () => number
}

function open(): Case {
  const clock = manualClock(1000)
  const client = new Side()
  const engine = new Side()
  const outcome = draftOutcome(0)
  let ends = 0
  let firstBytes = 0
  const tunnel = new OpenTunnel({
    engine,
    outcome,
    clock,
    idleMs,
    firstByte: () => firstBytes++,
    ended: () => ends++,
  })
  tunnel.client = client
  return { tunnel, client, engine, outcome, clock, ends: () => ends, firstBytes: () => firstBytes }
}

/** Time passes as the owner's sweep sees it. */
function pass({ tunnel, clock }: Case, ms: number): void {
  clock.advance(ms)
  tunnel.checkDeadline(clock.nowMs())
}

const masked = Buffer.from([0x81, 0x83, 1, 2, 3, 4, 5, 6, 7])
const plain = Buffer.from([0x82, 0x03, 5, 6, 7])

test('bytes pass both ways and are counted', () => {
  const { tunnel, client, engine, outcome, clock, firstBytes } = open()
  tunnel.data(masked, 0, masked.length)
  clock.advance(5)
  tunnel.engineData(plain, 1, plain.length)
  clock.advance(5)
  tunnel.engineData(plain, 0, 1)
  assert.deepEqual(engine.written, masked)
  assert.deepEqual(client.written, Buffer.concat([plain.subarray(1), plain.subarray(0, 1)]))
  assert.deepEqual([outcome.requestBytes, outcome.responseBytes], [masked.length, plain.length])
  assert.deepEqual([outcome.firstTokenAtMs, outcome.lastTokenAtMs, firstBytes()], [1005, 1010, 1])
})

test('a side that does not take what it gets holds back the other one', () => {
  const { tunnel, client, engine } = open()
  engine.isBlocked = true
  tunnel.data(masked, 0, masked.length)
  assert.deepEqual([client.isPaused, engine.isPaused], [true, false])
  tunnel.engineDrained()
  assert.equal(client.isPaused, false)
  client.isBlocked = true
  tunnel.engineData(plain, 0, plain.length)
  assert.deepEqual([client.isPaused, engine.isPaused], [false, true])
  tunnel.drained()
  assert.equal(engine.isPaused, false)
})

describe('how it ended', () => {
  const goodbye = closeFrame(1000, '')
  const cases: readonly {
    readonly title: string
    readonly run: (each: Case) => void
    readonly expected: readonly [abort: string | undefined, refusal: string | undefined, cut: boolean]
  }[] = [
    {
      title: 'the client says goodbye',
      run: ({ tunnel }) => {
        tunnel.data(goodbye, 0, goodbye.length)
        tunnel.engineData(goodbye, 0, goodbye.length)
        tunnel.engineEnded()
        tunnel.ended()
        tunnel.closed()
        tunnel.engineClosed()
      },
      expected: [undefined, undefined, false],
    },
    {
      title: 'the engine says goodbye and goes',
      run: ({ tunnel }) => {
        tunnel.engineData(goodbye, 0, goodbye.length)
        tunnel.engineClosed()
        tunnel.closed()
      },
      expected: [undefined, undefined, false],
    },
    {
      title: 'the client goes without a word',
      run: ({ tunnel, engine }) => {
        tunnel.closed()
        assert.equal(engine.isDestroyed, true)
      },
      expected: ['answering', undefined, false],
    },
    {
      title: 'the client sends no more, and goes when the engine does',
      run: ({ tunnel, engine }) => {
        tunnel.ended()
        assert.deepEqual([engine.isEnded, engine.isDestroyed], [true, false])
        tunnel.engineData(plain, 0, plain.length)
        tunnel.engineEnded()
        tunnel.engineClosed()
        tunnel.closed()
      },
      expected: ['answering', undefined, false],
    },
    {
      title: 'the engine goes without a word',
      run: ({ tunnel, client }) => {
        tunnel.engineClosed()
        assert.deepEqual([client.isEnded, client.isDestroyed], [true, false])
        tunnel.ended()
        tunnel.closed()
      },
      expected: [undefined, 'upstream-reset', true],
    },
    {
      title: 'the engine goes and the client does not',
      run: (each) => {
        each.tunnel.engineEnded()
        pass(each, 4999)
        assert.equal(each.client.isDestroyed, false)
        pass(each, 1)
        assert.deepEqual([each.client.isDestroyed, each.engine.isDestroyed], [true, true])
      },
      expected: [undefined, 'upstream-reset', true],
    },
    {
      title: 'nothing passes for too long',
      run: (each) => {
        pass(each, idleMs - 1)
        each.tunnel.data(masked, 0, 4)
        pass(each, idleMs - 1)
        each.tunnel.data(masked, 4, masked.length)
        pass(each, idleMs - 1)
        assert.equal(each.client.isEnded, false)
        pass(each, 1)
        assert.deepEqual(each.client.written, closeFrame(1001, ''))
        assert.equal(each.ends(), 0)
        pass(each, 1000)
      },
      expected: [undefined, 'upstream-idle-timeout', true],
    },
    {
      title: 'the gateway drains',
      run: ({ tunnel }) => {
        tunnel.giveUp(draining, 1000)
        tunnel.ended()
        tunnel.engineEnded()
        tunnel.engineClosed()
        tunnel.closed()
      },
      expected: [undefined, 'draining', true],
    },
  ]
  for (const { title, run, expected } of cases) {
    test(title, () => {
      const each = open()
      run(each)
      assert.equal(each.ends(), 1)
      const { abort, refusal, cut, upstreamEndAtMs } = each.outcome
      assert.deepEqual([abort, refusal, cut], expected)
      assert.ok(upstreamEndAtMs >= 1000)
      pass(each, 10 * idleMs)
      assert.equal(each.ends(), 1)
    })
  }
})

describe('a close frame of the gateway', () => {
  test('goes to both sides, masked to the engine, between frames', () => {
    const { tunnel, client, engine } = open()
    tunnel.data(masked, 0, masked.length)
    tunnel.engineData(plain, 0, plain.length)
    tunnel.giveUp(draining, 1000)
    assert.deepEqual(client.written.subarray(plain.length), closeFrame(1012, ''))
    const frame = engine.written.subarray(masked.length)
    assert.deepEqual(frame, closeFrame(1012, '', frame.subarray(2, 6)))
    assert.deepEqual([client.isEnded, engine.isEnded], [true, true])
  })

  test('cuts no frame in two and follows no other close frame', () => {
    const { tunnel, client, engine } = open()
    tunnel.data(masked, 0, 5)
    const goodbye = closeFrame(1000, '')
    tunnel.engineData(goodbye, 0, goodbye.length)
    tunnel.giveUp(draining, 1000)
    assert.equal(engine.written.length, 5)
    assert.deepEqual(client.written, goodbye)
    assert.deepEqual([client.isEnded, engine.isEnded], [true, true])
  })

  test('is the last thing either side gets', () => {
    const { tunnel, client, engine } = open()
    tunnel.giveUp(draining, 1000)
    const lengths = [client.written.length, engine.written.length]
    tunnel.data(masked, 0, masked.length)
    tunnel.engineData(plain, 0, plain.length)
    tunnel.giveUp(draining, 1000)
    assert.deepEqual([client.written.length, engine.written.length], lengths)
  })
})

type Step = (
  each: Case,
  state: { clientEnded: boolean; clientGone: boolean; engineEnded: boolean; engineGone: boolean },
) => void

/** What sockets and the sweep may do, each only as long as a socket could. */
const steps: Readonly<Record<string, Step>> = {
  data: ({ tunnel, client }, state) => {
    if (!state.clientEnded && !state.clientGone && !client.isDestroyed) tunnel.data(masked, 0, 5)
  },
  engineData: ({ tunnel, engine }, state) => {
    if (!state.engineEnded && !state.engineGone && !engine.isDestroyed) tunnel.engineData(plain, 0, 2)
  },
  ended: ({ tunnel, client }, state) => {
    if (state.clientEnded || state.clientGone || client.isDestroyed) return
    state.clientEnded = true
    tunnel.ended()
  },
  closed: ({ tunnel, client }, state) => {
    if (state.clientGone || client.isDestroyed) return
    state.clientGone = true
    tunnel.closed()
  },
  engineEnded: ({ tunnel, engine }, state) => {
    if (state.engineEnded || state.engineGone || engine.isDestroyed) return
    state.engineEnded = true
    tunnel.engineEnded()
  },
  engineClosed: ({ tunnel, engine }, state) => {
    if (state.engineGone || engine.isDestroyed) return
    state.engineGone = true
    tunnel.engineClosed()
  },
  drain: ({ tunnel, clock }) => tunnel.giveUp(draining, clock.nowMs()),
  second: (each) => pass(each, 1000),
  pause: (each) => pass(each, idleMs),
}

test('property: whatever happens in whatever order, it ends once, with both sides gone', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...Object.keys(steps)), { maxLength: 12 }), (names) => {
      const each = open()
      const state = { clientEnded: false, clientGone: false, engineEnded: false, engineGone: false }
      for (const name of names) steps[name]?.(each, state)
      for (let i = 0; i < 3; i++) pass(each, idleMs)
      assert.equal(each.ends(), 1)
      assert.ok(state.clientGone || each.client.isDestroyed)
      assert.ok(state.engineGone || each.engine.isDestroyed)
    }),
    { seed: 11, numRuns: 3000 },
  )
})
