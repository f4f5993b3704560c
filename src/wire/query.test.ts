import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { queryParameters, withQueryParameter } from './query.ts'

test('the parameters of a name are found in every spelling', () => {
  const cases: readonly [target: string, values: readonly string[]][] = [
    ['/v1/realtime', []],
    ['/v1/realtime?', []],
    ['/v1/realtime?model=m', ['m']],
    ['/v1/realtime?x=model=y&model=m&z', ['m']],
    ['/v1/realtime?model=a%2Fb+c', ['a/b c']],
    ['/v1/realtime?mod%65l=m', ['m']],
    ['/v1/realtime?model=a&model=b', ['a', 'b']],
    ['/v1/realtime?model', ['']],
    ['/v1/realtime?model&model=', ['', '']],
    ['/v1/realtime?models=a&Model=b&%zz=c', []],
    ['/v1/realtime?a?model=b', []],
    ['/v1/realtime?&&model==b&', ['=b']],
  ]
  for (const [target, values] of cases) {
    assert.deepEqual(
      queryParameters(target, 'model')?.map(({ value }) => value),
      values,
      target,
    )
  }
  assert.equal(queryParameters('/x?model=%', 'model'), undefined)
  assert.equal(queryParameters('/x?model=%ff', 'model'), undefined)
})

test('a parameter is set and everything else stays', () => {
  const cases: readonly [target: string, result: string][] = [
    ['/x', '/x?model=n%2F1'],
    ['/x?', '/x?&model=n%2F1'],
    ['/x?a=%20b', '/x?a=%20b&model=n%2F1'],
    ['/x?model=m', '/x?model=n%2F1'],
    ['/x?model', '/x?model=n%2F1'],
    ['/x?a&model=m&b=+', '/x?a&model=n%2F1&b=+'],
    ['/x?model=m&mod%65l=m', '/x?model=n%2F1&mod%65l=n%2F1'],
  ]
  for (const [target, result] of cases) assert.equal(withQueryParameter(target, 'model', 'n/1'), result)
})

test('property: what is found is what URLSearchParams finds, and a set value is read back', () => {
  const unit = fc.constantFrom('m', 'o', '=', '&', '+', '%6d', ';', '%2B')
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 20 }), fc.string({ unit: 'grapheme' }), (query, value) => {
      const target = `/x?${query}`
      const found = queryParameters(target, 'mo')?.map((each) => each.value)
      assert.deepEqual(found, new URLSearchParams(query).getAll('mo'))
      const set = withQueryParameter(target, 'mo', value)
      const read = queryParameters(set, 'mo') ?? []
      assert.equal(read.length, Math.max(1, found?.length ?? 0))
      for (const each of read) assert.equal(each.value, value)
    }),
    { seed: 3, numRuns: 2000 },
  )
})
