import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type EngineLife, type LifeVerdict, RestartWatch } from './restart-watch.ts'

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
      pages.map(([startedAtS, served]) => watch.take({ startedAtS, served } satisfies EngineLife)),
      verdicts,
    )
  })
}

test('counts that go to and fro between two engines are no news in the end', () => {
  const watch = new RestartWatch()
  const verdicts = Array.from({ length: 40 }, (_, i) =>
    watch.take({ startedAtS: NaN, served: i % 2 === 0 ? 900 : 100 }),
  )
  assert.equal(verdicts.filter((verdict) => verdict === 'new').length, 3)
  assert.equal(verdicts.at(-1), 'unknown')
})

test('an engine that is started over and over is told each time', () => {
  const watch = new RestartWatch()
  const verdicts = [900, 10, 300, 5, 100, 0].map((served) => watch.take({ startedAtS: NaN, served }))
  assert.equal(verdicts.filter((verdict) => verdict === 'new').length, 3)
})
