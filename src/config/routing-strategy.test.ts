import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { readStrategies, strategyNames } from './routing-strategy.ts'

describe('a list of routing strategies', () => {
  const good: readonly (readonly [text: string, weights: Readonly<Record<string, number>>])[] = [
    ...strategyNames.map((name) => [name, { [name]: 1 }] as const),
    ['prefix-cache:2,least-request:1', { 'prefix-cache': 2, 'least-request': 1 }],
    [' prefix-cache : 2 , least-request ', { 'prefix-cache': 2, 'least-request': 1 }],
    ['random:0,least-request', { 'least-request': 1 }],
    ['least-latency:1000000', { 'least-latency': 1_000_000 }],
    ['random:007', { random: 7 }],
    ['random,random:2', { random: 3 }],
  ]
  for (const [text, weights] of good) {
    test(`reads ${text}`, () => {
      const list = readStrategies(text)
      assert.ok('strategies' in list, JSON.stringify(list))
      assert.deepEqual(Object.fromEntries(list.strategies.map(({ name, weight }) => [name, weight])), weights)
    })
  }

  const bad: readonly (readonly [text: string, fails: RegExp])[] = [
    ['', /empty item/],
    ['random,', /empty item/],
    [':2', /empty item/],
    ['least-requests', /did you mean 'least-request'/],
    ['Random', /did you mean 'random'/],
    ['quantum', /known are random, least-request/],
    ['constructor', /no strategy/],
    ['random:', /whole number/],
    ['random:-1', /whole number/],
    ['random:1.5', /whole number/],
    ['random:1000001', /whole number/],
    ['random:1:2', /whole number/],
    ['random:0', /weight 0/],
    ['pd', /'pd', which this version does not have: it needs prefill and decode/],
    ['random,slo-pack-load:2', /latency targets/],
    ['vtc-basic', /fairness/],
    ['x'.repeat(1025), /more than 1024/],
  ]
  for (const [text, fails] of bad) {
    test(`refuses ${text.slice(0, 40)}`, () => {
      const list = readStrategies(text)
      assert.ok('fails' in list)
      assert.match(list.fails, fails)
    })
  }
})
