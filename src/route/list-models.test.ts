import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RoutePlan } from '#config/snapshot.ts'
import { listModels } from './list-models.ts'
import { routePlan, rulePlan } from './route-case.ts'

const list = (...routes: RoutePlan[]): string[] =>
  listModels({ routes }).map(({ id, parent }) => (parent === undefined ? id : `${id} < ${parent}`))

const rules = [rulePlan('s')]

test('models and adapters of all routes are merged and sorted by code units', () => {
  const found = list(
    routePlan('r1', { modelName: 'b', adapters: ['sql', 'Sql', 'ä', '模型'], rules }),
    routePlan('r2', { modelName: 'B', adapters: ['sql'], rules }),
    routePlan('r3', { modelName: 'b', rules }),
  )
  assert.deepEqual(found, ['B', 'Sql < b', 'b', 'sql < b', 'ä < b', '模型 < b'])
})

test('an adapter whose route has no base model has no parent', () => {
  assert.deepEqual(list(routePlan('r', { adapters: ['x'], rules })), ['x'])
})

test('a name that is both is a base model', () => {
  assert.deepEqual(list(routePlan('r1', { adapters: ['m'], rules }), routePlan('r2', { modelName: 'm', rules })), ['m'])
})

test('what no request can reach is not listed', () => {
  const weightless = rulePlan('s', { targets: [{ modelServer: 's', weight: 0 }] })
  const found = list(
    routePlan('attached', { modelName: 'a', attached: true, rules }),
    routePlan('no rules', { modelName: 'b' }),
    routePlan('no weight', { modelName: 'c', rules: [weightless] }),
    routePlan('only its adapter', { modelName: 'd', adapters: ['e', 'f'], rules: [rulePlan('s', { model: 'e' })] }),
  )
  assert.deepEqual(found, ['e < d'])
})
