import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Facts, ScheduleRequest } from '#contracts/schedule.ts'
import { candidatesOf, type LoadRow, pluginPorts, scheduleRequest, slotAt } from '#plugins/plugin-case.ts'
import { cost } from './cost.ts'

const capacity = { blockSize: 16, blockCount: 20_000 }

interface Case {
  readonly rows: readonly LoadRow[]
  readonly request?: Partial<ScheduleRequest>
  readonly promptTokens?: number
  /** By endpoint. */
  readonly cached?: readonly number[]
  readonly missHolders?: readonly number[]
  readonly missUses?: readonly number[]
}

function fill(facts: Facts, { promptTokens = 1000, cached = [], missHolders = [], missUses = [] }: Case): void {
  facts.promptTokens = promptTokens
  cached.forEach((tokens, i) => {
    facts.cachedTokens[slotAt(i)] = tokens
  })
  missHolders.forEach((holders, i) => {
    facts.missHolders[slotAt(i)] = holders
  })
  missUses.forEach((uses, i) => {
    facts.missUses[slotAt(i)] = uses
  })
}

/** Scores of a fresh scorer with default preferences. */
function scoresOf(given: Case): number[] {
  const ports = pluginPorts()
  fill(ports.facts, given)
  const scorer = cost.create(cost.parameters.parse({}), ports)
  const out = new Float64Array(given.rows.length)
  scorer.score(
    scheduleRequest(given.request),
    candidatesOf(given.rows.map((row) => ({ ...capacity, kvUse: 0.1, ...row }))),
    out,
  )
  return [...out]
}

describe('the cost of an endpoint', () => {
  test('is the same for equals, and the best has score 1', () => {
    assert.deepEqual(scoresOf({ rows: [{}, {}, {}] }), [1, 1, 1])
  })

  const better: readonly (Case & { readonly name: string })[] = [
    { name: 'that has the prefix', rows: [{}, {}], cached: [900, 0] },
    { name: 'with less prefill ahead', rows: [{ inFlight: 2 }, { inFlight: 2, prefilling: 1, uncachedTokens: 8000 }] },
    { name: 'with fewer requests', rows: [{ inFlight: 3 }, { inFlight: 9 }] },
    { name: 'with fewer requests of others', rows: [{ running: 1 }, { running: 9, inFlightAtReport: 0 }] },
    {
      name: 'with room in KV memory',
      rows: [
        { inFlight: 4, kvUse: 0.3 },
        { inFlight: 4, kvUse: 0.97 },
      ],
    },
    { name: 'with a free sequence slot', rows: [{ inFlight: 200 }, { inFlight: 280 }] },
    { name: 'that computes prompts faster', rows: [{ prefillUs: 50 }, { prefillUs: 150 }] },
    { name: 'that decodes faster', rows: [{ tpotMs: 20 }, { tpotMs: 60 }] },
    { name: 'with less context in its batch', rows: [{ contextTokens: 1000 }, { contextTokens: 200_000 }] },
    { name: 'that has the adapter', rows: [{ adapters: [1] }, {}], request: { adapter: 1 } },
    {
      name: 'with room for the adapter',
      rows: [
        { maxAdapters: 4, adapterCount: 1 },
        { maxAdapters: 4, adapterCount: 4 },
      ],
      request: { adapter: 1 },
    },
  ]
  for (const given of better) {
    test(`is less for one ${given.name}`, () => {
      const [first, second] = scoresOf(given)
      assert.equal(first, 1)
      assert.ok((second ?? 1) < 0.999, `${second}`)
    })
  }

  test('of speeds that differ by less than the dead band does not differ', () => {
    assert.deepEqual(scoresOf({ rows: [{ prefillUs: 50 }, { prefillUs: 55 }] }), [1, 1])
  })

  test('does not follow a prefix into an endpoint whose memory is full', () => {
    const rows = [
      { inFlight: 30, kvUse: 0.99 },
      { inFlight: 2, kvUse: 0.1 },
    ]
    const [first = 1, second = 0] = scoresOf({ rows, promptTokens: 2000, cached: [1900, 0] })
    assert.ok(second > first)
  })

  test('of another copy falls when more requests want the prefix than its copies can carry', () => {
    const rows = [{ inFlight: 20, prefilling: 2, uncachedTokens: 600 }, { inFlight: 15 }]
    const asked = { rows, promptTokens: 6000, cached: [5900, 0], missHolders: [0, 1] }
    const [, cold = 1] = scoresOf({ ...asked, missUses: [0, 1] })
    const [, hot = 0] = scoresOf({ ...asked, missUses: [0, 60] })
    assert.ok(hot > 1.5 * cold, `${hot} against ${cold}`)
  })

  test('does not follow a prefix into a line of requests that wait for memory', () => {
    const roomy = { running: 105, waiting: 0, inFlight: 105, inFlightAtReport: 105, kvUse: 0.9 }
    const followed = [0, 20, 60].map((waiting) => {
      const ports = pluginPorts()
      fill(ports.facts, { rows: [], promptTokens: 7200, cached: [6000, 0] })
      ports.facts.inUseTokens[slotAt(0)] = 6000
      const scorer = cost.create(cost.parameters.parse({}), ports)
      for (let i = 0; i < 300; i++)
        scorer.placed?.(scheduleRequest(), slotAt(0))?.ended({ isAnswered: true, outputTokens: 1000 })
      const inFlight = 100 + waiting
      const full = { running: 100, waiting, inFlight, inFlightAtReport: inFlight, kvUse: 0.99 }
      const out = new Float64Array(2)
      scorer.score(scheduleRequest(), candidatesOf([full, roomy].map((row) => ({ ...capacity, ...row }))), out)
      return (out[0] ?? 0) > (out[1] ?? 0)
    })
    assert.deepEqual(followed, [true, true, false])
  })

  describe('for a prompt that takes nearly all of the memory', () => {
    const small = { blockSize: 16, blockCount: 1000 }
    const idle = { ...small, kvUse: 0, running: 0, waiting: 0 }
    const busy = { ...small, kvUse: 0.6, running: 8, waiting: 0, inFlight: 8, contextTokens: 9600 }

    test('is least where nobody is: it was infinite there, and the prompt went among eight others', () => {
      const [first = 0, second = 1] = scoresOf({ rows: [idle, busy], promptTokens: 15_000 })
      assert.equal(first, 1)
      assert.ok(second < 0.5, `${second}`)
    })

    test('is the same for idle equals, whatever the answer: it was no number', () => {
      for (const maxTokens of [undefined, 0])
        assert.deepEqual(scoresOf({ rows: [idle, idle], promptTokens: 15_000, request: { maxTokens } }), [1, 1])
    })
  })

  test('does not take a page older than the end of all requests for a line', () => {
    const page = { running: 50, inFlight: 0, inFlightAtReport: 110, kvUse: 0.9 }
    assert.deepEqual(
      scoresOf({
        rows: [
          { ...page, waiting: 0 },
          { ...page, waiting: 60 },
        ],
      }),
      [1, 1],
    )
  })

  describe('among prompts of seconds', () => {
    const giant = { inFlight: 6, prefilling: 1, uncachedTokens: 100_000 }
    const sevenFree = Array.from({ length: 7 }, () => ({ inFlight: 24 }))

    /** Scores after a minute of requests with short prompts, 40 per second, and a long one at times. */
    function busyScores(rows: readonly LoadRow[], promptTokens: number): number[] {
      const ports = pluginPorts()
      const scorer = cost.create(cost.parameters.parse({}), ports)
      for (let i = 0; i < 2400; i++) {
        ports.facts.promptTokens = i % 200 === 100 ? 100_000 : 200
        scorer.placed?.(scheduleRequest({ nowMs: 1_000_000 + 25 * i }), slotAt(0))
      }
      ports.facts.promptTokens = promptTokens
      const out = new Float64Array(rows.length)
      const candidates = candidatesOf(rows.map((row) => ({ ...capacity, kvUse: 0.1, ...row })))
      scorer.score(scheduleRequest({ nowMs: 1_060_000 }), candidates, out)
      return [...out]
    }

    test('a short one avoids the endpoint that computes a long one', () => {
      const [behind = 1, beside = 0] = busyScores([giant, ...sevenFree], 200)
      assert.ok(beside > 2 * behind, `${beside} against ${behind}`)
    })

    test('a long one goes where another is computed, and leaves the others to short ones', () => {
      const [behind = 0, beside = 1] = busyScores([giant, ...sevenFree], 100_000)
      assert.ok(behind > beside, `${behind} against ${beside}`)
    })

    test('a long one does not wait for another where nobody else is', () => {
      const [behind = 1, idle = 0] = busyScores([giant, { inFlight: 0 }, ...sevenFree.slice(1)], 100_000)
      assert.ok(idle > behind, `${idle} against ${behind}`)
    })
  })

  test('is finite when nothing is known of an engine', () => {
    const unknown = { blockSize: Number.NaN, blockCount: Number.NaN, kvUse: Number.NaN, running: Number.NaN }
    assert.deepEqual(scoresOf({ rows: [unknown, unknown] }), [1, 1])
  })

  test('learns how long answers are from those that ended', () => {
    const ports = pluginPorts()
    ports.facts.promptTokens = 1000
    const scorer = cost.create(cost.parameters.parse({}), ports)
    const candidates = candidatesOf([
      { inFlight: 10, ...capacity, kvUse: 0.6 },
      { inFlight: 12, ...capacity, kvUse: 0.2 },
    ])
    const preferred = (): boolean => {
      const out = new Float64Array(2)
      scorer.score(scheduleRequest(), candidates, out)
      return (out[0] ?? 0) > (out[1] ?? 0)
    }
    assert.equal(preferred(), true)
    for (let i = 0; i < 300; i++)
      scorer.placed?.(scheduleRequest(), slotAt(0))?.ended({ isAnswered: true, outputTokens: 20_000 })
    assert.equal(preferred(), false)
  })
})

test('waiting for a sequence slot counts like waiting in the queue: short prompts once filled fast engines to the last slot', () => {
  const rows = [
    { inFlight: 130, contextTokens: 500_000 },
    { inFlight: 245, contextTokens: 60_000 },
  ]
  const [slow = 0, full = 0] = scoresOf({ rows, promptTokens: 100 })
  assert.ok(slow > full, `${slow} and ${full}`)
})
