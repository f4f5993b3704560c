import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseDocuments } from '#config/load-documents.ts'
import { translate } from '#controller/translate.ts'
import { builtInProfiles } from '#plugins/built-in-profiles.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { plugins } from '#plugins/index.ts'

const guide = readFileSync(join(import.meta.dirname, '..', 'docs', 'guides', 'scheduling.md'), 'utf8')
const examples = [...guide.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = '']) => text)

test('the guide has examples', () => assert.ok(examples.length >= 3))

for (const [index, example] of examples.entries()) {
  test(`example ${index + 1} of the guide is a good configuration`, () => {
    const text = `${example}---\nmodels: { m: { endpoints: [http://10.0.0.1:8000] } }`
    const result = translate(parseDocuments({ file: 'guide.yaml', text }, { SESSION_SECRET: 'secret' }), {
      plugins,
      defaultProfile,
      builtInProfiles,
      readFile: () => ({ fails: 'does not exist' }),
      addresses: () => [],
      nowMs: undefined,
    })
    assert.deepEqual(result.ok ? [] : result.problems.map(({ line, message }) => `${line} ${message}`), [])
  })
}
