import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { digestOfSources } from '#bench/lab/source-digest.ts'

const folder = mkdtempSync(join(tmpdir(), 'infer-gateway-digest-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const root = pathToFileURL(`${folder}/`)

function write(file: string, text: string): void {
  mkdirSync(join(folder, file, '..'), { recursive: true })
  writeFileSync(join(folder, file), text)
}

test('a digest is of all that a source is made of, and of nothing else', () => {
  write(
    'lab/run.ts',
    "import {\n  one,\n} from './near.ts'\nimport type { Two } from '#lab/type.ts'\nimport 'node:fs'\n",
  )
  write('lab/near.ts', "export { three } from '#core/far.ts'\n")
  write('core/far.ts', 'export const three = 3\n')
  write('lab/type.ts', 'export type Two = 2\n')
  const digest = (): string => digestOfSources(root, ['lab/run.ts'])
  const before = digest()
  assert.equal(digest(), before)
  write('lab/type.ts', 'export type Two = 22\n')
  write('lab/other.ts', 'export const other = 1\n')
  assert.equal(digest(), before)
  write('core/far.ts', 'export const three = 33\n')
  assert.notEqual(digest(), before)
})
