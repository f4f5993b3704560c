import assert from 'node:assert/strict'
import { test } from 'node:test'
import { viaCount, viaElement } from './via.ts'

test('a gateway finds itself in via, and nobody else', () => {
  const cases: readonly [value: string, count: number][] = [
    ['', 0],
    ['1.1 nginx', 0],
    [viaElement, 1],
    ['1.0 fred, 1.1 infer-gateway', 1],
    ['1.1 infer-gateway,HTTP/2 infer-gateway (v1),  1.1\tinfer-gateway', 3],
    ['1.1 my-infer-gateway, 1.1 infer-gateway-2, infer-gateway', 0],
  ]
  for (const [value, count] of cases) assert.equal(viaCount(value), count, value)
})
