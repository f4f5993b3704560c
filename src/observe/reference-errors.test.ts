import assert from 'node:assert/strict'
import { test } from 'node:test'
import { refusals } from '#core/refusal.ts'
import { renderErrorReference } from './reference-errors.ts'

test('every refusal has a row with its status, its codes and what to do', () => {
  const lines = renderErrorReference().split('\n')
  for (const [reason, row] of Object.entries(refusals)) {
    const found = lines.filter((line) => line.startsWith(`| \`${reason}\` | ${row.http} | ${row.grpc} |`))
    assert.equal(found.length, 1, reason)
    for (const part of [row.type, row.code, row.anthropicType, row.means, row.advice])
      assert.ok(found[0]?.includes(part))
  }
})

test('the table has the same number of columns in every row', () => {
  const rows = renderErrorReference()
    .split('\n')
    .filter((line) => line.startsWith('|'))
  assert.ok(rows.length > Object.keys(refusals).length)
  for (const row of rows) assert.equal(row.split(' | ').length, 8 - (row.startsWith('|---') ? 7 : 0), row)
})
