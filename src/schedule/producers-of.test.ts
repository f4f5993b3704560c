import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PluginDefinition } from '#contracts/plugin.ts'
import { producersOf } from './producers-of.ts'

type Known = Pick<PluginDefinition, 'type' | 'point' | 'reads'> & Partial<PluginDefinition>

const known: readonly Known[] = [
  { type: 'first', point: 'producer', reads: [], writes: ['cachedTokens'] },
  { type: 'second', point: 'producer', reads: [], writes: ['promptTokens', 'cachedTokens', 'matchedBlocks'] },
  { type: 'exact', point: 'producer', reads: [], writes: ['missUses'], needsKvEvents: true },
  { type: 'by-cache', point: 'scorer', reads: ['cachedTokens', 'promptTokens'] },
  { type: 'by-blocks', point: 'scorer', reads: ['matchedBlocks'] },
  { type: 'by-uses', point: 'scorer', reads: ['missUses'] },
  { type: 'any', point: 'picker', reads: [] },
]

function typesFor(scorers: readonly string[], producers: readonly string[] = [], hasKvEvents = false): string[] {
  const use = (type: string) => ({ type, parameters: {} })
  const plan = {
    producers: producers.map(use),
    filters: [],
    scorers: scorers.map((type) => ({ ...use(type), weight: 1 })),
    picker: use('any'),
  }
  return producersOf(plan, known as readonly PluginDefinition[], hasKvEvents).map(({ type }) => type)
}

test('a profile that reads no fact has no producer', () => {
  assert.deepEqual(typesFor([]), [])
})

test('a fact that is read has the first plug-in that writes it, and no second one for what the profile estimates itself', () => {
  assert.deepEqual(typesFor(['by-cache']), ['first'])
})

test('a producer that the profile names stands for the default one', () => {
  assert.deepEqual(typesFor(['by-cache', 'by-blocks'], ['second']), ['second'])
})

test('what needs the events of engines is there only where engines have them', () => {
  assert.deepEqual(typesFor(['by-uses']), [])
  assert.deepEqual(typesFor(['by-uses'], [], true), ['exact'])
})
