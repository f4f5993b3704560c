import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { seededRng } from '#core/clock.ts'
import type { Arm, Placed } from '#lab/arm.ts'
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

  constructor(name: string) {
    const arm = [...blindArms, ...peerArms].find((each) => each.name === name)
    assert.ok(arm, name)
    this.#arm = arm.create({ settings, fleet: this.fleet, clock: new FleetClock(), rng: seededRng(1) })
  }

  place(next: Arrival): number {
    const endpoint = this.#arm.place(next, this.fleet)
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
  for (const name of ['llm-d', 'llm-d-tokens', 'dynamo', 'smg', 'bounded-hash']) {
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
})
