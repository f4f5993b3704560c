import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { removePidFile, writePidFile } from './pid-file.ts'

test('a pid file holds the process that wrote last, and only that one takes it away', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'infer-gateway-pid-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'pid')
  writePidFile(path, 1)
  writePidFile(path, 2)
  assert.equal(readFileSync(path, 'utf8'), '2\n')
  removePidFile(path, 1)
  assert.deepEqual(readdirSync(folder), ['pid'])
  removePidFile(path, 2)
  assert.deepEqual(readdirSync(folder), [])
})

test('a pid file that cannot be written is told by the name of its option, and leaves nothing behind', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'infer-gateway-pid-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const said = /^Fault: the file of --pid-file cannot be written: /
  assert.throws(() => writePidFile(join(folder, 'missing', 'pid'), 1), said)
  mkdirSync(join(folder, 'pid'))
  assert.throws(() => writePidFile(join(folder, 'pid'), 1), said)
  assert.deepEqual(readdirSync(folder), ['pid'])
})
