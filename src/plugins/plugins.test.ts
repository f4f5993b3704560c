import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultProfile } from './default-profile.ts'
import { plugins } from './index.ts'
import { renderPluginReference } from './reference.ts'

test('no two plug-ins have the same type, over all extension points', () => {
  const types = plugins.map(({ type }) => type)
  assert.deepEqual(types, [...new Set(types)])
})

for (const { type, parameters } of plugins) {
  test(`${type} has a default for every parameter and takes no unknown one`, () => {
    assert.doesNotThrow(() => parameters.parse({}))
    assert.throws(() => parameters.parse({ nosuch: 1 }), /nosuch/)
  })
}

test('parameters out of range are refused', () => {
  const cases: { type: string; parameters: Record<string, unknown> }[] = [
    { type: 'least-request', parameters: { slack: 0 } },
    { type: 'latency', parameters: { ttftShare: 1.1 } },
    { type: 'latency', parameters: { tolerance: '2' } },
    { type: 'max-score', parameters: { epsilon: -1 } },
    { type: 'weighted-random', parameters: { sharpness: 0 } },
  ]
  for (const { type, parameters } of cases) {
    const plugin = plugins.find((candidate) => candidate.type === type)
    assert.equal(plugin?.parameters.safeParse(parameters).success, false, type)
  }
})

test('the default profile names plug-ins of the right points, with valid parameters', () => {
  const uses = [
    ...defaultProfile.filters.map((use) => ({ use, point: 'filter' })),
    ...defaultProfile.scorers.map((use) => ({ use, point: 'scorer' })),
    { use: defaultProfile.picker, point: 'picker' },
  ]
  for (const { use, point } of uses) {
    const plugin = plugins.find(({ type }) => type === use.type)
    assert.equal(plugin?.point, point, use.type)
    assert.equal(plugin?.parameters.safeParse(use.parameters).success, true, use.type)
  }
})

test('the reference page has a section per plug-in and a row per parameter', () => {
  const page = renderPluginReference()
  for (const { type } of plugins) assert.match(page, new RegExp(`^### \`${type}\`$`, 'm'))
  assert.match(page, /^\| `slack` \| number, above 0 to 1000 \| `4` \| Requests .*\|$/m)
  assert.match(page, /^\| scorer \| `cost` \| 1 \|$/m)
  assert.equal(page, renderPluginReference())
})
