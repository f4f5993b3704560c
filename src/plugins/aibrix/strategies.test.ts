import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { PluginDefinition } from '#contracts/plugin.ts'
import type { KnownEndpoint, ScheduleRequest, Scorer } from '#contracts/schedule.ts'
import { seededRng } from '#core/clock.ts'
import { candidatesOf, type LoadRow, pluginPorts, scheduleRequest, slotAt } from '#plugins/plugin-case.ts'
import { aibrixLeastLatency } from './least-latency.ts'
import { normalise } from './normalise.ts'
import { aibrixPrefixCache } from './prefix-cache.ts'
import { aibrixPreble } from './prefix-cache-preble.ts'
import { aibrixSessionAffinity } from './session-affinity.ts'
import {
  aibrixLeastBusyTime,
  aibrixLeastGpuCache,
  aibrixLeastKvCache,
  aibrixLeastRequest,
  aibrixLeastUtilization,
  aibrixPowerOfTwo,
  aibrixRandom,
} from './simple-strategies.ts'
import { aibrixThroughput } from './throughput.ts'

const unknown = Number.NaN

/** A scorer with 1000 prompt tokens, of which each endpoint has as many cached as is said. */
class Case {
  readonly scorer: Scorer
  readonly #rows: readonly LoadRow[]

  constructor(plugin: PluginDefinition, rows: readonly LoadRow[], cached: readonly number[] = [], seed = 1) {
    const ports = { ...pluginPorts(seededRng(seed)), endpointOf: endpointIn }
    ports.facts.promptTokens = 1000
    cached.forEach((tokens, i) => {
      ports.facts.cachedTokens[slotAt(i)] = tokens
    })
    this.#rows = rows
    this.scorer = plugin.create(plugin.parameters.parse({}), ports) as Scorer
  }

  scores(given: Partial<ScheduleRequest> = {}): number[] {
    return this.exactScores(given).map((score) => Math.round(score * 1000) / 1000)
  }

  exactScores(given: Partial<ScheduleRequest> = {}): number[] {
    const out = new Float64Array(this.#rows.length)
    this.scorer.score(scheduleRequest(given), candidatesOf(this.#rows), out)
    return [...out]
  }

  get fellBack(): boolean {
    return this.scorer.fellBack?.() ?? false
  }
}

/** 10.0.0.1:8000, 10.0.0.2:8000 ... */
function endpointIn(slot: number): KnownEndpoint {
  const host = `10.0.0.${(slot - 2) / 3 + 1}`
  return { id: `${host}:8000`, host, port: 8000, role: 'both', labels: {} }
}

describe('scores by min-max', () => {
  const cases: readonly (readonly [values: readonly number[], most: readonly number[], least: readonly number[]])[] = [
    [
      [1, 3, 2],
      [0, 1, 0.5],
      [1, 0, 0.5],
    ],
    [
      [5, 5],
      [1, 1],
      [1, 1],
    ],
    [[0], [1], [1]],
    [
      [7, unknown, 3],
      [1, 0, 0],
      [0, 0, 1],
    ],
    [
      [unknown, 4],
      [0, 1],
      [0, 1],
    ],
  ]
  for (const [values, most, least] of cases) {
    test(values.join(', '), () => {
      for (const [polarity, scores] of [
        ['most', most],
        ['least', least],
      ] as const) {
        const out = Float64Array.from(values)
        assert.equal(normalise(out, out.length, polarity), true)
        assert.deepEqual([...out], scores)
      }
    })
  }
  test('there are none without a value', () => {
    assert.equal(normalise(Float64Array.of(unknown, unknown), 2, 'most'), false)
  })
})

test('least-request goes by our own requests in flight, whatever the engine says', () => {
  const rows = [{ inFlight: 4, running: 0 }, { inFlight: 0, running: 9 }, { inFlight: 2 }]
  assert.deepEqual(new Case(aibrixLeastRequest, rows).scores(), [0, 1, 0.5])
})

test('the strategies by KV cache need no name that engines have given up', () => {
  for (const plugin of [aibrixLeastGpuCache, aibrixLeastKvCache]) {
    assert.deepEqual(new Case(plugin, [{ kvUse: 0.2 }, { kvUse: 0.6 }, { kvUse: 0.4 }, {}]).scores(), [1, 0, 0.5, 0])
  }
})

test('a strategy whose signal nobody has is least-request, says so, and never a game of chance', () => {
  // AIBrix: silently random (aibrix-and-others.md A2.3).
  for (const plugin of [
    aibrixLeastGpuCache,
    aibrixLeastKvCache,
    aibrixLeastBusyTime,
    aibrixLeastUtilization,
    aibrixLeastLatency,
  ]) {
    const without = new Case(plugin, [{ inFlight: 3 }, { inFlight: 1 }, { inFlight: 2 }])
    for (let i = 0; i < 20; i++) assert.deepEqual(without.scores(), [0, 1, 0.5], plugin.type)
    assert.equal(without.fellBack, true, plugin.type)
  }
  const one = new Case(aibrixLeastGpuCache, [{ kvUse: 0.5 }, {}])
  assert.deepEqual([one.scores(), one.fellBack], [[1, 0], false])
})

test('random is random, evenly', () => {
  const draws = new Case(aibrixRandom, [{}, {}, {}])
  const wins = [0, 0, 0]
  for (let i = 0; i < 3000; i++) wins[draws.scores().indexOf(1)]!++
  for (const count of wins) assert.ok(count > 900 && count < 1100, wins.join())
})

test('power-of-two draws two different endpoints and takes the one with fewer requests', () => {
  const draws = new Case(aibrixPowerOfTwo, [{ inFlight: 9 }, { inFlight: 1 }, { inFlight: 5 }])
  const wins = [0, 0, 0]
  for (let i = 0; i < 3000; i++) wins[draws.scores().indexOf(1)]!++
  assert.equal(wins[0], 0, 'the busiest loses against whichever')
  assert.ok(wins[1]! > 1850 && wins[1]! < 2150, wins.join())
  assert.deepEqual(new Case(aibrixPowerOfTwo, [{ inFlight: 9 }]).scores(), [1])
})

test('throughput counts prompt tokens twice, output tokens once, and forgets', () => {
  const flow = new Case(aibrixThroughput, [{}, {}])
  assert.deepEqual(flow.scores(), [1, 1])
  const nowMs = 1_000_000
  const first = flow.scorer.placed?.(scheduleRequest({ nowMs }), slotAt(0))
  assert.deepEqual(flow.scores(), [0, 1], '2000 against nothing')
  const second = flow.scorer.placed?.(scheduleRequest({ nowMs }), slotAt(1))
  second?.ended({ isAnswered: true, outputTokens: 500 })
  assert.deepEqual(flow.scores(), [1, 0], '2000 against 2500')
  first?.ended({ isAnswered: false, outputTokens: Number.NaN })
  flow.scorer.placed?.(scheduleRequest({ nowMs }), slotAt(0))
  flow.scorer.placed?.(scheduleRequest({ nowMs: nowMs + 86_400_000 }), slotAt(0))
  assert.deepEqual(flow.scores({ nowMs: nowMs + 86_400_000 }), [0, 1], 'a day later 2736 against 920')
})

describe('least-latency', () => {
  const seen = { observedAtMs: 990_000 }

  test('adds the time to the first token and that of 100 tokens', () => {
    const rows = [
      { ...seen, ttftMs: 500, tpotMs: 10 },
      { ...seen, ttftMs: 100, tpotMs: 20 },
      { ...seen, ttftMs: 300, tpotMs: 15 },
    ]
    assert.deepEqual(new Case(aibrixLeastLatency, rows).scores(), [1, 0, 0.5], '1500, 2100, 1800')
  })

  test('learns how many tokens answers have', () => {
    const rows = [
      { ...seen, ttftMs: 500, tpotMs: 10 },
      { ...seen, ttftMs: 100, tpotMs: 20 },
    ]
    const short = new Case(aibrixLeastLatency, rows)
    for (let i = 0; i < 200; i++) {
      short.scorer.placed?.(scheduleRequest(), slotAt(0))?.ended({ isAnswered: true, outputTokens: 10 })
    }
    assert.deepEqual(short.scores(), [0, 1], '600, 300')
  })

  test('lets one request at a time find out about an endpoint of which nothing is known', () => {
    const rows = (inFlight: number) => [{ ...seen, ttftMs: 500, tpotMs: 10 }, { inFlight }]
    assert.deepEqual(new Case(aibrixLeastLatency, rows(0)).scores(), [0, 1])
    assert.deepEqual(new Case(aibrixLeastLatency, rows(1)).scores(), [1, 0])
  })

  test('gives an endpoint that was slow long ago another chance', () => {
    const rows = [
      { ...seen, ttftMs: 500, tpotMs: 10 },
      { ttftMs: 90_000, tpotMs: 10, observedAtMs: 900_000 },
    ]
    assert.deepEqual(new Case(aibrixLeastLatency, rows).scores(), [0, 1])
  })
})

describe('prefix-cache', () => {
  const pick = (inFlight: readonly number[], cached: readonly number[]): number => {
    const rows = inFlight.map((requests) => ({ inFlight: requests }))
    const scores = new Case(aibrixPrefixCache, rows, cached).exactScores()
    return scores.indexOf(Math.max(...scores))
  }
  const cases: readonly (readonly [string, readonly number[], readonly number[], number])[] = [
    ['takes the longest match', [2, 2, 2], [100, 600, 300], 1],
    ['takes the least busy of equal matches', [3, 2, 3], [600, 600, 0], 1],
    ['lets a match go for endpoints that are too busy', [8, 1, 1, 1], [900, 0, 0, 100], 3],
    ['stays at a mean plus a standard deviation', [2, 0], [900, 0], 0],
    ['takes one with the fewest when they differ by more than 8', [9, 0, 4], [900, 100, 500], 1],
    ['takes the longest match among those with the fewest', [12, 1, 1], [900, 100, 200], 2],
    ['is least-request without any match', [3, 1, 2], [0, 0, 0], 1],
  ]
  for (const [title, inFlight, cached, index] of cases) {
    test(title, () => assert.equal(pick(inFlight, cached), index))
  }
})

describe('prefix-cache-preble', () => {
  test('follows a match of more than half to the holder with the least work of late', () => {
    const plugin = new Case(aibrixPreble, [{}, {}, {}], [600, 600, 100])
    assert.deepEqual(plugin.scores(), [1, 1, 0])
    plugin.scorer.placed?.(scheduleRequest(), slotAt(0))
    assert.deepEqual(plugin.scores(), [0, 1, 0])
    assert.deepEqual(plugin.scores({ nowMs: 1_000_000 + 200_000 }), [1, 1, 0], 'after three minutes it is forgotten')
  })

  test('else goes where the work of late and its own is least, by the speeds that were observed', () => {
    const slow = { prefillUs: 1000, tpotMs: 15 }
    const fast = { prefillUs: 100, tpotMs: 15 }
    const plugin = new Case(aibrixPreble, [slow, fast, slow], [400, 0, 0])
    assert.deepEqual(plugin.scores(), [0.444, 1, 0], '1275, 775 and 1675 ms')
    plugin.scorer.placed?.(scheduleRequest(), slotAt(1))
    assert.equal(plugin.scores().indexOf(1), 0, 'the work of the first is in the way of the next')
  })
})

describe('session-affinity', () => {
  const rows = [{}, {}, {}, {}]
  const withHeader = (name: string, value: string): Partial<ScheduleRequest> => ({ headers: [name, value] })

  test('hashes the session key to an endpoint by rendezvous, the same everywhere', () => {
    // The endpoint with the greatest FNV-1a of key, 0x00, address.
    const expected = (key: string): number => {
      const hashes = rows.map((_, i) => {
        let hash = 0xcbf29ce484222325n
        for (const byte of Buffer.from(`${key}\0${endpointIn(slotAt(i)).id}`)) {
          hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n)
        }
        return hash
      })
      return hashes.indexOf(hashes.reduce((most, hash) => (hash > most ? hash : most)))
    }
    const seen = new Set<number>()
    for (let i = 0; i < 50; i++) {
      const index = new Case(aibrixSessionAffinity, rows).scores(withHeader('x-aibrix-session-key', `k${i}`)).indexOf(1)
      assert.equal(index, expected(`k${i}`))
      seen.add(index)
    }
    assert.equal(seen.size, rows.length)
  })

  test('finds the endpoint of the id that it gave out, which names no address, and of those of AIBrix', () => {
    const plugin = new Case(aibrixSessionAffinity, rows)
    const placement = plugin.scorer.placed?.(scheduleRequest(), slotAt(2))
    const [name = '', id = ''] = placement?.replyHeaders ?? []
    assert.equal(name, 'x-session-id')
    assert.doesNotMatch(Buffer.from(id, 'base64').toString('latin1'), /10\.0|8000/)
    assert.deepEqual(plugin.scores(withHeader(name, id)), [0, 0, 1, 0])
    assert.deepEqual(
      plugin.scores(withHeader(name, `${id.slice(0, -2)}AA`)),
      [1, 1, 1, 1],
      'not with another signature',
    )
    const theirs = Buffer.from('10.0.0.2:8000').toString('base64')
    assert.deepEqual(plugin.scores(withHeader(name, theirs)), [0, 1, 0, 0])
  })

  test('looks at load, where AIBrix does not', () => {
    const theirs = Buffer.from('10.0.0.1:8000').toString('base64')
    const busy = (inFlight: number) => new Case(aibrixSessionAffinity, [{ inFlight }, { inFlight: 3 }, {}])
    assert.deepEqual(busy(16).scores(withHeader('x-session-id', theirs)), [1, 0, 0])
    assert.equal(busy(17).scores(withHeader('x-session-id', theirs))[2], 1)
    const key = withHeader('x-aibrix-session-key', 'k')
    const home = busy(0).scores(key).indexOf(1)
    const loaded = [{}, {}, {}].map((_, i) => ({ inFlight: i === home ? 17 : 0 }))
    assert.notEqual(new Case(aibrixSessionAffinity, loaded).scores(key).indexOf(1), home)
  })

  test('without a session is least-request', () => {
    const plugin = new Case(aibrixSessionAffinity, [{ inFlight: 2 }, { inFlight: 1 }, { inFlight: 0 }])
    assert.deepEqual(plugin.scores(), [0, 0.5, 1])
    assert.deepEqual(
      plugin.scores(withHeader('x-aibrix-session-key', 'k'.repeat(257))),
      [0, 0.5, 1],
      'nor with a key too long',
    )
  })
})
