import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { seededRng } from '#core/clock.ts'
import type { Arm, ArmValues, Placed } from '#lab/arm.ts'
import { FleetClock } from '#lab/fleet-clock.ts'
import { type Arrival, VirtualFleet } from '#lab/virtual-fleet.ts'
import { hashSegmentBlocks } from '#sim/model/block-hash.ts'
import { engineSettings } from '#sim/model/engine-settings.ts'
import { ActiveBlocks } from './active-blocks.ts'
import { blindArms, leastOf } from './blind.ts'
import { peerArms } from './peers.ts'
import { PrefixHistory } from './prefix-history.ts'
import { TokenAccount } from './token-account.ts'

const settings = Array.from({ length: 3 }, () => engineSettings('llama-8b-h100', { kvBlocks: 400 }))

/** A prompt of a shared prefix and 64 tokens of its own. */
function arrival(prefix: number, prefixTokens: number, own: number, atMs = 0): Arrival {
  const segments = [
    { seed: prefix, tokens: prefixTokens },
    { seed: 1_000 + own, tokens: 64 },
    { seed: 9_000 + own, tokens: 10 },
  ]
  const request = { promptTokens: prefixTokens + 64, outputTokens: 10, blockHashes: hashSegmentBlocks(segments, 16, 0) }
  return { atMs, group: prefix, request }
}

/** An arm on a fleet whose time stands still: what was placed stays in flight. */
class StillArm {
  readonly fleet = new VirtualFleet(settings)
  readonly #arm: Arm
  readonly #placed: Placed[] = []

  constructor(name: string, values: ArmValues = {}) {
    const arm = [...blindArms, ...peerArms].find((each) => each.name === name)
    assert.ok(arm, name)
    this.#arm = arm.create({ settings, fleet: this.fleet, clock: new FleetClock(), rng: seededRng(1) }, values)
  }

  /** Only asks. */
  choose(next: Arrival): number {
    return this.#arm.place(next, this.fleet)
  }

  place(next: Arrival): number {
    const endpoint = this.choose(next)
    this.#placed.push({ arrival: next, endpoint, call: this.fleet.submit(endpoint, next) })
    return endpoint
  }

  /** Ends everything that is in flight. */
  drain(untilMs: number): void {
    this.fleet.advance(untilMs)
    for (const placed of this.#placed.splice(0)) {
      this.#arm.onFirstToken?.(placed, untilMs)
      this.#arm.onFinished?.(placed, untilMs)
    }
    assert.equal(this.#arm.open?.() ?? 0, 0)
  }
}

describe('the history of placements', () => {
  const { request } = arrival(1, 640, 1)
  const other = arrival(1, 640, 2).request

  test('finds the prefix where it was sent, in whole pieces of 64 tokens', () => {
    const history = new PrefixHistory(settings)
    history.insert(request.blockHashes, request.promptTokens, 1)
    assert.deepEqual([...history.match(request.blockHashes, request.promptTokens)], [0, 704, 0])
    assert.deepEqual([...history.match(other.blockHashes, other.promptTokens)], [0, 640, 0])
    assert.deepEqual([...history.match(request.blockHashes, 100)], [0, 64, 0], 'the answer is no part of the prompt')
  })

  test('forgets what an engine has no room for, unless it is asked for again', () => {
    const history = new PrefixHistory(settings)
    const kept = arrival(2, 640, 0).request
    history.insert(request.blockHashes, request.promptTokens, 0)
    history.insert(kept.blockHashes, kept.promptTokens, 0)
    // 400 blocks of 16 tokens are 6,400 tokens: nine more prompts of 704.
    for (let i = 0; i < 9; i++) {
      const next = arrival(10 + i, 640, 10 + i).request
      history.insert(next.blockHashes, next.promptTokens, 0)
      history.insert(kept.blockHashes, kept.promptTokens, 0)
    }
    assert.equal(history.match(request.blockHashes, request.promptTokens)[0], 0)
    assert.equal(history.match(kept.blockHashes, kept.promptTokens)[0], 704)
  })
})

test('tokens are counted from dispatch to first token and to the end, each once', () => {
  const account = new TokenAccount(2)
  const [one, two] = [arrival(1, 640, 1), arrival(1, 640, 2)]
  account.add(one, 1, 704)
  account.add(two, 1, 64)
  assert.deepEqual([account.requests[1], account.queuedTokens[1], account.contextTokens[1]], [2, 768, 1_408])
  account.firstToken(one)
  account.firstToken(one)
  account.remove(two)
  account.remove(two)
  assert.deepEqual([account.requests[1], account.queuedTokens[1], account.contextTokens[1]], [1, 0, 704])
  assert.equal(account.open, 1)
})

test('blocks in use are counted once however many requests share them', () => {
  const blocks = new ActiveBlocks(settings)
  const [one, two] = [arrival(1, 640, 1), arrival(1, 640, 2)]
  assert.deepEqual([...blocks.withRequest(one)], [704, 704, 704])
  blocks.add(one, 0)
  assert.deepEqual([...blocks.withRequest(two)], [768, 704, 704])
  blocks.add(two, 0)
  assert.equal(blocks.tokens[0], 768)
  blocks.remove(one, 0)
  assert.equal(blocks.tokens[0], 704)
  blocks.remove(two, 0)
  assert.equal(blocks.tokens[0], 0)
})

test('the least value wins, and equal ones take turns by chance', () => {
  const rng = seededRng(3)
  assert.equal(leastOf([3, 1, 2], rng), 1)
  const counts = [0, 0, 0]
  for (let i = 0; i < 3_000; i++) {
    const index = leastOf([1, 5, 1], rng)
    counts[index] = (counts[index] ?? 0) + 1
  }
  assert.equal(counts[1], 0)
  assert.ok(Math.abs((counts[0] ?? 0) - 1_500) < 150, counts.join(' '))
})

describe('peers', () => {
  for (const name of [
    'llm-d',
    'llm-d-tokens',
    'dynamo',
    'smg',
    'bounded-hash',
    'dualmap',
    'preble',
    'aibrix-prefix',
    'kthena',
  ]) {
    test(`${name} sends a long prefix where it was`, () => {
      const arm = new StillArm(name)
      const home = arm.place(arrival(1, 1_280, 0))
      arm.drain(10_000)
      for (let own = 1; own <= 5; own++) {
        assert.equal(arm.place(arrival(1, 1_280, own, own * 20_000)), home)
        arm.drain(own * 20_000 + 10_000)
      }
    })
  }

  test('lmetric multiplies: an idle endpoint costs nothing, whatever is cached elsewhere', () => {
    const arm = new StillArm('lmetric')
    const indexes = [1, 2, 3].map((own) => arm.place(arrival(1, 1_280, own)))
    assert.deepEqual(indexes.toSorted(), [0, 1, 2])
  })

  test('llm-d-tokens leaves a prefix that is less than 0.8 of the prompt', () => {
    const arm = new StillArm('llm-d-tokens')
    const home = arm.place(arrival(1, 128, 0))
    const next = arrival(1, 128, 1)
    assert.ok(128 / next.request.promptTokens < 0.8)
    assert.notEqual(arm.place(next), home, 'the home has tokens queued')
  })

  test('smg gives up affinity when one endpoint has far more than another', () => {
    const arm = new StillArm('smg')
    const home = arm.place(arrival(1, 320, 0))
    const indexes = Array.from({ length: 70 }, (_, i) => arm.place(arrival(1, 320, i + 1)))
    assert.deepEqual(new Set(indexes.slice(0, 64)), new Set([home]))
    assert.notEqual(indexes[64], home, 'the gate opens beyond a difference of 64')
  })

  test('bounded-hash overflows to the next endpoint at 1.25 times the mean', () => {
    const arm = new StillArm('bounded-hash')
    const counts = [0, 0, 0]
    for (let i = 0; i < 30; i++) {
      const index = arm.place(arrival(1, 320, i))
      counts[index] = (counts[index] ?? 0) + 1
    }
    assert.ok(Math.max(...counts) <= Math.ceil((1.25 * 30) / 3), counts.join(' '))
    assert.ok(Math.min(...counts) < 10)
  })

  test('dynamo counts what is in use: a short prompt avoids the home of a long one', () => {
    const arm = new StillArm('dynamo')
    const home = arm.place(arrival(1, 1_280, 0))
    assert.notEqual(arm.place(arrival(2, 64, 1)), home)
  })

  test('dynamo with requests that weigh much balances them', () => {
    const spreadOf = (arm: StillArm): number => {
      arm.place(arrival(1, 4_096, 0))
      arm.drain(10_000)
      return new Set([1, 2, 3].map((own) => arm.place(arrival(1, 4_096, own, 20_000)))).size
    }
    assert.equal(spreadOf(new StillArm('dynamo')), 1)
    assert.equal(spreadOf(new StillArm('dynamo', { perRequest: 1_000 })), 3)
  })

  test('llm-d-lru gives cold prompts to endpoints in turn, warm ones to their home', () => {
    const arm = new StillArm('llm-d-lru')
    const cold = [1, 2, 3, 4, 5, 6].map((prefix) => {
      const index = arm.place(arrival(prefix, 640, prefix, prefix * 20_000))
      arm.drain(prefix * 20_000 + 10_000)
      return index
    })
    assert.deepEqual(cold.slice(0, 3).toSorted(), [0, 1, 2])
    assert.deepEqual(cold.slice(3), cold.slice(0, 3), 'the one that had its turn longest ago is next')
    assert.equal(arm.place(arrival(2, 640, 99, 200_000)), cold[1])
  })

  test('smetric keeps a session where it is, while lmetric leaves for an idle endpoint', () => {
    for (const [name, isHeld] of [
      ['smetric', true],
      ['lmetric', false],
    ] as const) {
      const arm = new StillArm(name)
      const turn = (own: number, atMs: number): Arrival => ({ ...arrival(1, 1_280, own, atMs), session: 7 })
      const home = arm.place(turn(1, 0))
      arm.drain(10_000)
      // Something else occupies the home.
      while (arm.place(arrival(50 + arm.fleet.inFlight[home]!, 64, 50, 20_000)) !== home) arm.drain(20_000)
      assert.equal(arm.place(turn(2, 20_000)) === home, isHeld, name)
    }
  })

  test('smetric leaves a session whose first token would come too late, as first tokens have shown', () => {
    const arm = new StillArm('smetric')
    let atMs = 0
    // Eight first tokens of 704 tokens after ten seconds each: more than 76 tokens are late. Of the others nothing is known.
    for (let own = 1; own <= 8; own++, atMs += 20_000) {
      arm.place({ ...arrival(100 + own, 640, own, atMs), excluded: [1, 2] })
      arm.drain(atMs + 10_000)
    }
    const turn = (own: number): Arrival => ({ ...arrival(1, 1_280, own, atMs), session: 7 })
    arm.place({ ...turn(1), excluded: [1, 2] })
    arm.drain(atMs + 10_000)
    atMs += 20_000
    assert.equal(arm.place(turn(2)), 0, '64 tokens are in time')
    assert.notEqual(arm.place(turn(3)), 0, '128 tokens are not')
  })

  test('dualmap sends a prefix to two endpoints at most, whatever comes', () => {
    for (let prefix = 1; prefix <= 5; prefix++) {
      const arm = new StillArm('dualmap', { objectiveMs: 1 })
      const places = new Set(Array.from({ length: 30 }, (_, own) => arm.place(arrival(prefix, 1_280, own))))
      assert.equal(places.size, 2, 'the objective is missed, so load decides between the two')
    }
  })

  test('preble sends a short match where least work was placed, and a long one home, unless it may redirect', () => {
    const arm = new StillArm('preble')
    const home = arm.place(arrival(1, 2_560, 0))
    assert.notEqual(arm.place(arrival(1, 32, 1)), home)
    for (let own = 2; own < 12; own++) assert.equal(arm.place(arrival(1, 2_560, own)), home)
    const redirecting = new StillArm('preble', { redirect: 1.5 })
    const places = Array.from({ length: 12 }, (_, own) => redirecting.place(arrival(1, 2_560, own)))
    assert.equal(new Set(places).size, 3)
  })

  test('preble forgets work that was placed before its window', () => {
    const arm = new StillArm('preble', { windowMs: 10_000 })
    const heavy = arm.place(arrival(1, 4_096, 0))
    arm.drain(20_000)
    const later = Array.from({ length: 3 }, (_, i) => arm.place(arrival(10 + i, 64, i, 30_000)))
    assert.ok(later.includes(heavy), later.join(' '))
  })

  test('aibrix-prefix gives up affinity when one endpoint has 16 more than another', () => {
    const arm = new StillArm('aibrix-prefix')
    const places = Array.from({ length: 20 }, (_, own) => arm.place(arrival(1, 640, own)))
    assert.deepEqual(new Set(places.slice(0, 17)), new Set([places[0]]))
    assert.notEqual(places[17], places[0])
  })

  test('aibrix-latency prefers endpoints that nothing is known of', () => {
    const arm = new StillArm('aibrix-latency')
    const places = [0, 1, 2].map((own) => {
      const index = arm.place(arrival(own, 640, own, own * 20_000))
      arm.drain(own * 20_000 + 10_000)
      return index
    })
    assert.deepEqual(places.toSorted(), [0, 1, 2])
  })

  test('kthena learns a prefix when it has been answered, not before', () => {
    const arm = new StillArm('kthena')
    const [first, second] = [arm.place(arrival(1, 1_280, 0)), arm.place(arrival(1, 1_280, 1))]
    assert.notEqual(second, first, 'nothing is matched yet, and the first has a request')
    arm.drain(10_000)
    assert.ok([first, second].includes(arm.place(arrival(1, 1_280, 2, 20_000))))
  })

  test('none places where it may not, nor when it may nowhere', () => {
    for (const { name } of [...blindArms, ...peerArms]) {
      for (let excluded = 0; excluded < 3; excluded++) {
        const others = [0, 1, 2].filter((index) => index !== excluded)
        const arm = new StillArm(name)
        for (let own = 0; own < 6; own++) arm.place(arrival(1, 640, own))
        for (let own = 6; own < 10; own++) {
          assert.equal(arm.place({ ...arrival(1, 640, own), excluded: others }), excluded, name)
        }
        if (peerArms.some((each) => each.name === name)) {
          assert.equal(arm.choose({ ...arrival(1, 640, 20), excluded: [0, 1, 2] }), -1, name)
        }
      }
    }
  })
})
