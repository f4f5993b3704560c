import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type EngineLife, type LifeVerdict, RestartWatch } from './restart-watch.ts'

const untold = { ranks: [], counts: [] } as const

const cases: readonly {
  readonly name: string
  readonly pages: readonly (readonly [startedAtS: number, served: number])[]
  readonly verdicts: readonly LifeVerdict[]
}[] = [
  {
    name: 'an engine that goes on is the same one',
    pages: [
      [100, 5],
      [100, 5],
      [100.5, 9],
    ],
    verdicts: ['unknown', 'same', 'same'],
  },
  {
    name: 'a later start is another engine, whatever has been counted since',
    pages: [
      [100, 5],
      [160, 50],
      [160, 51],
    ],
    verdicts: ['unknown', 'new', 'same'],
  },
  {
    name: 'without a start time less than before is another engine',
    pages: [
      [NaN, 500],
      [NaN, 0],
      [NaN, 30],
      [NaN, 20],
    ],
    verdicts: ['unknown', 'new', 'same', 'new'],
  },
  {
    name: 'a count that is gone was counted by another engine',
    pages: [
      [NaN, 500],
      [NaN, NaN],
      [NaN, 3],
      [NaN, 4],
    ],
    verdicts: ['unknown', 'new', 'unknown', 'same'],
  },
  {
    name: 'nothing is known of an engine that says nothing',
    pages: [
      [NaN, NaN],
      [NaN, NaN],
    ],
    verdicts: ['unknown', 'unknown'],
  },
  {
    name: 'of two engines behind one address only the younger one is news',
    pages: [
      [100, NaN],
      [200, NaN],
      [100, NaN],
      [200, NaN],
    ],
    verdicts: ['unknown', 'new', 'same', 'same'],
  },
]

for (const { name, pages, verdicts } of cases) {
  test(name, () => {
    const watch = new RestartWatch()
    assert.deepEqual(
      pages.map(([startedAtS, served]) => watch.take({ startedAtS, served, ...untold } satisfies EngineLife)),
      verdicts,
    )
  })
}

test('counts that go to and fro between two engines are no news in the end', () => {
  const watch = new RestartWatch()
  const verdicts = Array.from({ length: 40 }, (_, i) =>
    watch.take({ startedAtS: NaN, served: i % 2 === 0 ? 900 : 100, ...untold }),
  )
  assert.equal(verdicts.filter((verdict) => verdict === 'new').length, 3)
  assert.equal(verdicts.at(-1), 'unknown')
})

test('an engine that is started over and over is told each time', () => {
  const watch = new RestartWatch()
  const verdicts = [900, 10, 300, 5, 100, 0].map((served) => watch.take({ startedAtS: NaN, served, ...untold }))
  assert.equal(verdicts.filter((verdict) => verdict === 'new').length, 3)
})

const partCases: readonly {
  readonly name: string
  readonly pages: readonly Readonly<Record<string, number>>[]
  readonly verdict: LifeVerdict
}[] = [
  {
    // Once the sum alone was compared: to unload one model was to forget the caches of all.
    name: 'a model that is unloaded takes its count along, and the engine goes on',
    pages: [{ a: 1000, b: 50 }, { b: 60 }],
    verdict: 'same',
  },
  { name: 'a model that is loaded besides says nothing', pages: [{ b: 50 }, { a: 0, b: 50 }], verdict: 'same' },
  { name: 'one that is left and has less is new', pages: [{ a: 500, b: 300 }, { a: 5 }], verdict: 'new' },
  { name: 'one that takes the place of all others is new', pages: [{ a: 500 }, { c: 0 }], verdict: 'new' },
  { name: 'when all are gone the engine is new', pages: [{ a: 500, b: 1 }, {}], verdict: 'new' },
  {
    name: 'ranks count together',
    pages: [
      { 0: 500, 1: 300 },
      { 0: 0, 1: 10 },
    ],
    verdict: 'new',
  },
]

for (const { name, pages, verdict } of partCases) {
  test(name, () => {
    const watch = new RestartWatch()
    const verdicts = pages.map((page) => {
      const counts = Object.values(page)
      const served = counts.length === 0 ? NaN : counts.reduce((sum, count) => sum + count, 0)
      return watch.take({ startedAtS: NaN, served, ranks: Object.keys(page), counts })
    })
    assert.equal(verdicts.at(-1), verdict)
  })
}
