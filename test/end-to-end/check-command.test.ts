import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

const main = new URL('../../src/cli/main.ts', import.meta.url).pathname
const directory = mkdtempSync(join(tmpdir(), 'check-'))
test.after(() => rmSync(directory, { recursive: true }))

interface Ended {
  readonly status: number
  readonly out: string
  readonly err: string
}

function check(...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [main, 'check', ...args], { env: { GW_KEY: 'sk-very-secret' } }, (error, out, err) => {
      resolve({ status: typeof error?.code === 'number' ? error.code : 0, out, err })
    })
  })
}

function file(name: string, text: string): string {
  const path = join(directory, name)
  writeFileSync(path, text)
  return path
}

test('check shows what a valid configuration serves, and exits with 0', async () => {
  const path = file(
    'good.yaml',
    'models: { llama: { engine: vllm, endpoints: ["http://10.0.0.1:8000"], adapters: [sql], apiKey: "${GW_KEY}" } }',
  )
  const { status, out, err } = await check(path)
  assert.deepEqual([status, err], [0, ''])
  assert.equal(
    out,
    `${path}: valid

files      ${path}
listeners  http://0.0.0.0:8080
admin      http://127.0.0.1:9090

MODEL   ADAPTERS   GOES TO
llama   sql        models/llama

MODEL SERVER   ENDPOINT        ENGINE
models/llama   10.0.0.1:8000   vllm
`,
  )
})

test('check shows every problem with its line, and exits with 1', async () => {
  const path = file('bad.yaml', 'admin:\n  prt: 9090\nmodels: { llama: { endpoints: ["ftp://x"] } }\n')
  const { status, out } = await check(path)
  assert.equal(status, 1)
  assert.equal(
    out,
    `error: unknown key 'prt'
 --> ${path}:2:3  admin.prt
2 |   prt: 9090
  |   ^^^
  = did you mean 'port'?

error: item 1 of 'endpoints' must be a URL that begins with http:// or https://
 --> ${path}:3:32  models.llama.endpoints[0]
3 | models: { llama: { endpoints: ["ftp://x"] } }
  |                                ^^^^^^^^^

${path}: 2 problems
`,
  )
})

test('check --json holds the same for programs, without secrets', async () => {
  const path = file('json.yaml', 'models: { m: { provider: openai, apiKey: "${GW_KEY}" } }')
  const good = await check('--json', path)
  const report = JSON.parse(good.out) as { ok: boolean; modelServers: { key: string }[] }
  assert.deepEqual([good.status, report.ok, report.modelServers[0]?.key], [0, true, 'models/m'])
  assert.ok(!good.out.includes('very-secret'))
  const bad = JSON.parse((await check('--json', join(directory, 'gone.yaml'))).out) as {
    ok: boolean
    problems: { message: string }[]
  }
  assert.deepEqual([bad.ok, bad.problems.length], [false, 1])
})

test('check without a source exits with 2', async () => {
  const { status, out, err } = await check()
  assert.deepEqual([status, out], [2, ''])
  assert.ok(err.includes("missing argument 'file-or-dir'"))
})
