import assert from 'node:assert/strict'
import { test } from 'node:test'
import { renderConfigReference } from './reference.ts'

const page = renderConfigReference()
const rows = page.split('\n').filter((line) => line.startsWith('| `'))

test('every key of the page has a meaning', () => {
  const bare = rows.filter((row) => / \|\s*\|$/.test(row) || row.split('|').length < 4)
  assert.deepEqual(bare, [])
  assert.ok(rows.length > 100, `${rows.length} rows`)
})

test('keys, kinds of values and defaults come from the schemas', () => {
  for (const row of [
    '| `limits.bodyBytes` | size | `32MiB` | Longest request body (413). |',
    '| `listeners[].tls.certificates[].certFile` | text | **required** | PEM file with the certificate and its chain. |',
    '| `spec.rules[].modelMatch.headers.NAME.exact` | text | none | The value is this. |',
    '| `triton` | `/metrics` on port 8002 |',
  ]) {
    assert.ok(rows.includes(row), row)
  }
})

test('a key that is required says so, and one with a default shows it', () => {
  const defaultOf = (key: string): string | undefined =>
    rows.find((row) => row.startsWith(`| \`${key}\` |`))?.split(' | ')[2]
  assert.equal(defaultOf('spec.inferenceEngine'), '**required**')
  assert.equal(defaultOf('spec.workloadPort.protocol'), '`http`')
  assert.equal(defaultOf('timeouts.firstByte'), '`120s`')
  assert.equal(defaultOf('endpoints[].dns.interval'), '`10s`')
})
