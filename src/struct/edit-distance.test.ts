import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { editDistance, nearest } from './edit-distance.ts'

const distances: readonly (readonly [string, string, number])[] = [
  ['', '', 0],
  ['', 'abc', 3],
  ['endpoints', 'endpoint', 1],
  ['enpdoints', 'endpoints', 1],
  ['kitten', 'sitting', 3],
  ['ca', 'abc', 3],
  ['prot', 'port', 1],
]

for (const [a, b, distance] of distances) {
  test(`'${a}' and '${b}' are ${distance} edits apart`, () => {
    assert.equal(editDistance(a, b), distance)
    assert.equal(editDistance(b, a), distance)
  })
}

/** The textbook recursion, without any of the shortcuts. */
function slowDistance(a: string, b: string): number {
  if (a === '' || b === '') return a.length + b.length
  const cost = a.at(-1) === b.at(-1) ? 0 : 1
  const choices = [
    slowDistance(a.slice(0, -1), b) + 1,
    slowDistance(a, b.slice(0, -1)) + 1,
    slowDistance(a.slice(0, -1), b.slice(0, -1)) + cost,
  ]
  const isSwap = a.length > 1 && b.length > 1 && a.at(-1) === b.at(-2) && a.at(-2) === b.at(-1)
  if (isSwap) choices.push(slowDistance(a.slice(0, -2), b.slice(0, -2)) + 1)
  return Math.min(...choices)
}

const shortWord = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 5 })

test('the distance is that of the textbook recursion, with and without a limit', () => {
  fc.assert(
    fc.property(shortWord, shortWord, fc.nat(6), (a, b, limit) => {
      const distance = slowDistance(a, b)
      assert.equal(editDistance(a, b), distance)
      assert.equal(editDistance(a, b, limit), distance > limit ? limit + 1 : distance)
    }),
  )
})

test('the nearest name ignores case, and is left out when all are far', () => {
  assert.equal(nearest('endpoint', ['models', 'endpoints', 'engine']), 'endpoints')
  assert.equal(nearest('VLLM', ['vllm', 'sglang']), 'vllm')
  assert.equal(nearest('zzz', ['models', 'endpoints']), undefined)
  assert.equal(nearest('tl', ['tls']), 'tls')
  assert.equal(nearest('', ['a']), undefined)
  assert.equal(nearest('s', ['t', 'st']), undefined)
  assert.equal(nearest('x'.repeat(200), ['x'.repeat(200)]), undefined)
})

test('of equally near names the first is taken, and a nearer one beats it', () => {
  assert.equal(nearest('modelx', ['modela', 'modelb']), 'modela')
  assert.equal(nearest('modelx', ['modeab', 'models']), 'models')
})
