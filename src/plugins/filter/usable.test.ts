import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { health } from '#core/endpoint.ts'
import { candidatesOf, type LoadRow, leftOf, pluginPorts, scheduleRequest } from '#plugins/plugin-case.ts'
import { usable } from './usable.ts'

const ready = { health: health.ready }
const unready = { health: health.unready }
const resting = { ...ready, restUntilMs: 1001 }
const ejected = { ...ready, ejected: 1 }
const rested = { ...ready, restUntilMs: 1000 }

test('the last endpoint stays when another thread ejects it while it is looked at', () => {
  // Once it was dropped then, and the request refused for want of endpoints.
  const { loads, ...candidates } = candidatesOf([ejected, ready])
  const [, last = -1] = candidates.slots
  let reads = 0
  const changing = new Proxy(loads.ejected, {
    get: (column, key) => (key === String(last) && ++reads > 1 ? 1 : Reflect.get(column, key, column)),
  })
  const seen = { ...candidates, loads: { ...loads, ejected: changing } }
  usable.create({}, pluginPorts()).filter(scheduleRequest({ nowMs: 1000 }), seen)
  assert.deepEqual(leftOf(seen), [0, 1])
})

describe('of the endpoints', () => {
  const cases: { name: string; rows: LoadRow[]; left: number[] }[] = [
    { name: 'all stay when all are ready', rows: [ready, ready], left: [0, 1] },
    { name: 'those never heard of stay', rows: [{}, ready], left: [0, 1] },
    { name: 'unready ones go', rows: [unready, ready, unready, {}], left: [1, 3] },
    { name: 'resting ones go', rows: [resting, ready, resting], left: [1] },
    { name: 'one whose rest is over stays', rows: [rested, resting], left: [0] },
    { name: 'resting ones stay when all rest', rows: [resting, resting], left: [0, 1] },
    { name: 'resting ones stay when the others are unready', rows: [unready, resting, unready], left: [1] },
    { name: 'ejected ones go', rows: [ejected, ready, ejected], left: [1] },
    { name: 'ejected and resting ones stay when there are no others', rows: [ejected, resting], left: [0, 1] },
    { name: 'ejected ones stay when the others are unready', rows: [unready, ejected], left: [1] },
    { name: 'one that is both unready and ejected goes', rows: [{ ...unready, ejected: 1 }, ejected], left: [1] },
    { name: 'none stays when all are unready', rows: [unready, unready], left: [] },
    { name: 'none stays of none', rows: [], left: [] },
  ]
  for (const { name, rows, left } of cases) {
    test(name, () => {
      const candidates = candidatesOf(rows)
      usable.create({}, pluginPorts()).filter(scheduleRequest({ nowMs: 1000 }), candidates)
      assert.deepEqual(leftOf(candidates), left)
    })
  }
})
