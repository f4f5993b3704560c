import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RoutePlan } from '#config/snapshot.ts'
import { adapterIdOf, assignAdapterIds } from './adapter-ids.ts'
import { createInternedNames } from './interned-names.ts'

const withAdapters = (...adapters: string[]): { routes: RoutePlan[] } => ({
  routes: [{ name: 'a/r', modelName: 'm', adapters, attached: false, rules: [] }],
})

test('an adapter keeps its id over snapshots, also while no route names it', () => {
  const names = createInternedNames(10)
  const first = assignAdapterIds(names, withAdapters('sql', 'chat'))
  const second = assignAdapterIds(names, withAdapters('code'))
  const third = assignAdapterIds(names, withAdapters('code', 'sql'))
  assert.deepEqual(
    [first, second, third].map((ids) => ['sql', 'chat', 'code'].map((name) => adapterIdOf(ids, name))),
    [
      [0, 1, -1],
      [0, 1, 2],
      [0, 1, 2],
    ],
  )
})

test('names beyond the limit have no id', () => {
  const names = createInternedNames(2)
  const ids = assignAdapterIds(names, withAdapters('a', 'b', 'c', 'a'))
  assert.deepEqual(
    ['a', 'b', 'c'].map((name) => adapterIdOf(ids, name)),
    [0, 1, -1],
  )
  assert.equal(names.idOf('d'), -1)
})

test('ids cross threads, whatever the names', () => {
  const ids = structuredClone(assignAdapterIds(createInternedNames(9), withAdapters('__proto__', 'toString')))
  assert.deepEqual(
    [adapterIdOf(ids, '__proto__'), adapterIdOf(ids, 'toString'), adapterIdOf(ids, 'valueOf')],
    [0, 1, -1],
  )
})
