import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { withFleet } from './support/fleet.ts'
import { run } from './support/run.ts'

const root = join(import.meta.dirname, '..', '..')
const python = join(process.env.INFER_GATEWAY_TEST_VENV ?? join(root, '.cache', 'venv'), 'bin', 'python')
const skip = existsSync(python) ? false : 'the OpenAI Python client is not installed: scripts/install-test-tools'

test('the OpenAI Python client works unmodified', { skip }, () =>
  withFleet({}, async ({ gateway }) => {
    const script = join(import.meta.dirname, 'support', 'openai_client.py')
    const { code, out, err } = await run(python, [script, `${gateway.url}/v1`])
    assert.equal(code, 0, err)
    const seen = JSON.parse(out) as Record<string, Record<string, unknown>>
    assert.deepEqual([seen.chat?.model, seen.chat?.tokens], ['tiny', 12])
    assert.equal(seen.stream?.text, seen.chat?.text)
    assert.equal(seen.stream_async?.text, seen.chat?.text)
    assert.equal(seen.stream?.tokens, 12)
    assert.deepEqual(seen.tool, { name: 'weather' })
    assert.deepEqual(seen.embeddings?.sizes, [16, 16])
    assert.ok(String(seen.transcription?.text).length > 0)
    assert.deepEqual([seen.unknown_model?.class, seen.unknown_model?.code], ['NotFoundError', 'model_not_found'])
    assert.match(String(seen.unknown_model?.message), /Did you mean 'tiny'/)
    assert.ok(seen.unknown_model?.id)
    assert.match(String(seen.cut_stream?.message), /closed the connection/)
    assert.deepEqual(seen.models, ['tiny'])
  }),
)
