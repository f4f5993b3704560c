import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { lastArrival, startFleet } from './support/fleet.ts'
import { run } from './support/run.ts'
import { splitEvents } from './support/sse.ts'

const isMissing = spawnSync('curl', ['--version']).error !== undefined
const skip = isMissing ? 'curl is not installed: scripts/install-test-tools' : false

const fleet = await startFleet({
  config: ([sim]) => ({ models: { tiny: { engine: 'vllm', endpoints: [sim?.url] } }, limits: { bodyBytes: '256KiB' } }),
})
after(() => fleet.close())

const chatUrl = `${fleet.gateway.url}/v1/chat/completions`
const json = ['-H', 'content-type: application/json']
const bodyOf = (more: object): string =>
  JSON.stringify({ model: 'tiny', messages: [{ role: 'user', content: 'hello' }], max_tokens: 6, ...more })

/** Runs curl and gives its output, with the status on a last line. */
async function curl(
  ...args: string[]
): Promise<{ readonly status: number; readonly body: string; readonly err: string }> {
  const { code, out, err } = await run('curl', ['-sS', '-m', '20', '-w', '\n%{http_code}', ...args])
  assert.equal(code, 0, err)
  const at = out.lastIndexOf('\n')
  return { status: Number(out.slice(at + 1)), body: out.slice(0, at), err }
}

test('curl gets an answer', { skip }, async () => {
  const { status, body } = await curl(chatUrl, ...json, '-d', bodyOf({}))
  assert.equal(status, 200)
  assert.equal((JSON.parse(body) as { model: string }).model, 'tiny')
})

test('curl -N gets a stream', { skip }, async () => {
  const { status, body } = await curl('-N', chatUrl, ...json, '-d', bodyOf({ stream: true }))
  assert.equal(status, 200)
  const { events, fragment } = splitEvents(body)
  assert.equal(fragment, '')
  assert.deepEqual([events.length, events.at(-1)?.data], [8, '[DONE]'])
})

test('curl speaking HTTP/1.0 gets an answer and a stream that end with the connection', { skip }, async () => {
  const answer = await curl('--http1.0', '-i', chatUrl, ...json, '-d', bodyOf({}))
  assert.match(answer.body, /connection: close/i)
  assert.match(answer.body, /"object":"chat.completion"/)
  const stream = await curl('--http1.0', '-i', chatUrl, ...json, '-d', bodyOf({ stream: true }))
  assert.doesNotMatch(stream.body, /transfer-encoding/i)
  assert.match(stream.body, /data: \[DONE\]\n\n$/)
})

test('curl reuses one connection for several requests', { skip }, async () => {
  const again = ['--next', '-sS', '-w', ' %{num_connects}\n', ...json, '-d', bodyOf({}), '-o', '/dev/null', chatUrl]
  const first = ['-sS', '-m', '20', '-w', ' %{num_connects}\n', ...json, '-d', bodyOf({}), '-o', '/dev/null', chatUrl]
  const { out } = await run('curl', [...first, ...again, ...again])
  assert.deepEqual(out.trim().split(/\s+/), ['1', '0', '0'])
})

test('a large body sent with Expect: 100-continue is invited, then taken', { skip }, async () => {
  const file = join(fleet.gateway.directory, 'large.json')
  writeFileSync(file, bodyOf({ padding: 'x'.repeat(200_000) }))
  const { status, err } = await curl('-v', chatUrl, ...json, '-H', 'expect: 100-continue', '--data-binary', `@${file}`)
  assert.equal(status, 200)
  assert.match(err, /100 Continue/)
  const arrival = await lastArrival(fleet.sim)
  assert.equal(arrival.headers.expect, undefined)
})

test('a body that is too large is refused before it is sent', { skip }, async () => {
  const file = join(fleet.gateway.directory, 'too-large.json')
  writeFileSync(file, bodyOf({ padding: 'x'.repeat(5_000_000) }))
  const { status, body, err } = await curl(
    '-v',
    chatUrl,
    ...json,
    '-H',
    'expect: 100-continue',
    '--data-binary',
    `@${file}`,
  )
  assert.equal(status, 413)
  assert.match(body, /body_too_large/)
  assert.doesNotMatch(err, /100 Continue/)
  const blunt = await curl(chatUrl, ...json, '-H', 'expect:', '--data-binary', `@${file}`)
  assert.equal(blunt.status, 413)
})

test('curl uploads a form', { skip }, async () => {
  const file = join(fleet.gateway.directory, 'a.wav')
  writeFileSync(file, Buffer.alloc(40_000, 5))
  const { status, body } = await curl(
    `${fleet.gateway.url}/v1/audio/transcriptions`,
    '-F',
    'model=tiny',
    '-F',
    `file=@${file}`,
  )
  assert.equal(status, 200)
  assert.ok((JSON.parse(body) as { text: string }).text.length > 0)
})

test('HEAD and GET of the model list agree', { skip }, async () => {
  const url = `${fleet.gateway.url}/v1/models`
  const [head, get] = [await curl('-I', url), await curl(url)]
  assert.deepEqual([head.status, get.status], [200, 200])
  assert.match(head.body, new RegExp(`content-length: ${get.body.length}\\b`, 'i'))
})
