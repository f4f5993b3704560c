import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PageQuery } from './page-query.ts'

const names = ['vllm:a', 'vllm:b']
const query = 'name%5B%5D=vllm%3Aa&name%5B%5D=vllm%3Ab'

function probing(path = '/metrics'): PageQuery {
  const page = new PageQuery(path, names)
  assert.equal(page.path, path)
  assert.ok(page.wantsFull)
  page.takeFull([1, 5], 70_000)
  assert.ok(page.isProbing)
  return page
}

test('narrows a large page by the path with a slash first', () => {
  const page = probing()
  assert.equal(page.path, `/metrics/?${query}`)
  assert.ok(page.takeProbe([1, 6], 2000))
  assert.ok(page.isNarrowed)
  assert.equal(page.path, `/metrics/?${query}`)
})

test('tries the path as it is when the one with a slash does not serve', () => {
  const page = probing()
  assert.equal(page.takeProbe(undefined, 0), false)
  assert.equal(page.path, `/metrics?${query}`)
  assert.ok(page.takeProbe([1, 5], 2000))
})

const refused = [
  { name: 'misses a name', counts: [1, 0], bytes: 2000 },
  { name: 'misses a series', counts: [1, 4], bytes: 2000 },
  { name: 'is empty', counts: [0, 0], bytes: 0 },
  { name: 'is as large as before', counts: [1, 5], bytes: 69_000 },
] as const

for (const { name, counts, bytes } of refused) {
  test(`keeps the full page when the narrowed one ${name}`, () => {
    const page = probing()
    assert.equal(page.takeProbe(counts, bytes), false)
    assert.equal(page.takeProbe(counts, bytes), false)
    assert.equal(page.path, '/metrics')
    assert.equal(page.wantsFull, false)
  })
}

test('does not probe for a small page, nor without names', () => {
  const small = new PageQuery('/metrics', names)
  small.takeFull([1, 5], 2500)
  assert.equal(small.isProbing, false)
  assert.equal(small.wantsFull, false)
  const nameless = new PageQuery('/metrics', [])
  nameless.takeFull([], 70_000)
  assert.equal(nameless.isProbing, false)
})

test('keeps a query of its own and a slash at the end', () => {
  assert.equal(probing('/metrics?model=m').path, `/metrics/?model=m&${query}`)
  const page = probing('/metrics/')
  assert.equal(page.path, `/metrics/?${query}`)
  assert.equal(page.takeProbe(undefined, 0), false)
  assert.equal(page.path, '/metrics/')
})

test('finds out again after a restart, and stops at a narrowed page that says less', () => {
  const page = probing()
  assert.ok(page.takeProbe([1, 5], 2000))
  page.restart()
  assert.equal(page.path, '/metrics')
  assert.ok(page.wantsFull)
  page.takeFull([1, 5], 70_000)
  assert.ok(page.takeProbe([1, 5], 2000))
  page.widen()
  assert.equal(page.path, '/metrics')
  assert.equal(page.wantsFull, false)
})

test('gives narrowing up when probes break the connection again and again', () => {
  const page = new PageQuery('/metrics', names)
  let probes = 0
  for (let round = 0; round < 10; round++) {
    if (!page.wantsFull) break
    page.takeFull([1, 5], 70_000)
    page.noteFailure()
    page.restart()
    probes++
  }
  assert.equal(probes, 3)
  assert.equal(page.path, '/metrics')
})
