import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createSessionMemory, SessionTable } from './session-table.ts'

describe('a table of sessions', () => {
  const place = (row: number) => ({ row, mark: row * 7 })

  test('remembers where each session was last, as long as it is used', () => {
    const table = new SessionTable()
    table.bind('a', place(1), 1000)
    table.bind('b', place(2), 1000)
    assert.deepEqual(table.find('a', 1500, 500), place(1))
    table.bind('a', place(3), 1500)
    assert.deepEqual(table.find('a', 2000, 500), place(3), 'its time slides')
    assert.equal(table.find('b', 2000, 500), undefined)
    assert.equal(table.find('c', 1000, 500), undefined)
  })

  test('forgets what is where it was said to be, and nothing else', () => {
    const table = new SessionTable()
    table.bind('a', place(1), 10)
    table.forget('a', place(2))
    assert.deepEqual(table.find('a', 10, 100), place(1))
    table.forget('a', place(1))
    assert.equal(table.find('a', 10, 100), undefined)
    table.forget('a', place(1))
  })

  test('is one for all that share its memory', () => {
    const memory = createSessionMemory()
    const [one, two] = [new SessionTable(memory), new SessionTable(memory)]
    one.bind('a', place(5), 10)
    assert.deepEqual(two.find('a', 10, 100), place(5))
    assert.deepEqual(one.secret, two.secret)
    assert.ok(one.secret.some((byte) => byte !== 0))
  })

  test('keeps the sessions of late when there are more than it holds', () => {
    const table = new SessionTable()
    for (let i = 0; i < 200_000; i++) table.bind(`session-${i}`, place(i % 100), i + 1)
    const kept = (from: number): number => {
      let found = 0
      for (let i = from; i < from + 10_000; i++) if (table.find(`session-${i}`, 200_000, 1e9) !== undefined) found++
      return found
    }
    assert.equal(kept(0), 0)
    assert.ok(kept(190_000) > 9900, `${kept(190_000)}`)
  })
})
