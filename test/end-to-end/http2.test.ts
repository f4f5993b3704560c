import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { certificateA } from '#datastore/certificate-case.ts'
import { writePair } from './support/certificates.ts'
import { lastArrival, modelOn, quick, startFleet, withFleet } from './support/fleet.ts'
import { answerOf, chatStream, http2Session } from './support/http2-client.ts'
import { freePorts } from './support/ports.ts'
import { run } from './support/run.ts'
import { splitEvents } from './support/sse.ts'
import { waitFor } from './support/wait.ts'

const directory = mkdtempSync(join(tmpdir(), 'infer-gateway-http2-'))
const certificate = writePair(directory, 'a', certificateA)
const [tlsPort, plainPort] = [await freePorts.take(), await freePorts.take()]
const fleet = await startFleet({
  config: (sims) => ({
    models: { tiny: modelOn(sims) },
    listeners: [
      { name: 'secure', address: '127.0.0.1', port: tlsPort, tls: certificate },
      { name: 'plain', address: '127.0.0.1', port: plainPort, http2: true },
    ],
    limits: { bodyBytes: '256KiB' },
  }),
})
after(() => fleet.close())

const doors = [
  { title: 'h2', url: `https://127.0.0.1:${tlsPort}`, flags: ['-k', '--http2'] },
  { title: 'h2c', url: `http://127.0.0.1:${plainPort}`, flags: ['--http2-prior-knowledge'] },
] as const

function skipWithout(program: string, option: string, has: RegExp): string | false {
  const { stdout, error } = spawnSync(program, [option], { encoding: 'utf8' })
  return error === undefined && has.test(stdout) ? false : `${program} with HTTP/2 is not installed`
}

const noCurl = skipWithout('curl', '--version', /HTTP2/)
const noH2load = skipWithout('h2load', '--version', /h2load/)
const python = join(process.env.INFER_GATEWAY_TEST_VENV ?? join('.cache', 'venv'), 'bin', 'python')
const noPython =
  existsSync(python) && spawnSync(python, ['-c', 'import openai, h2']).status === 0
    ? false
    : 'the OpenAI Python client with HTTP/2 is not installed: scripts/install-test-tools'

const bodyOf = (more: object): string =>
  JSON.stringify({ model: 'tiny', messages: [{ role: 'user', content: 'hello' }], max_tokens: 6, ...more })

interface CurlResult {
  readonly status: number
  readonly version: string
  readonly body: string
  readonly err: string
}

async function curl(flags: readonly string[], ...args: readonly string[]): Promise<CurlResult> {
  const all = ['-sS', '-m', '20', '-w', '\n%{http_code} %{http_version}', '-H', 'content-type: application/json']
  const { code, out, err } = await run('curl', [...all, ...flags, ...args])
  assert.equal(code, 0, err)
  const at = out.lastIndexOf('\n')
  const [status = '', version = ''] = out.slice(at + 1).split(' ')
  return { status: Number(status), version, body: out.slice(0, at), err }
}

for (const { title, url, flags } of doors) {
  test(`curl speaks ${title}: an answer, a stream, a list, a refusal, an upload`, { skip: noCurl }, async () => {
    const chat = `${url}/v1/chat/completions`
    const answer = await curl(flags, chat, '-d', bodyOf({}))
    assert.deepEqual([answer.status, answer.version], [200, '2'])
    assert.equal((JSON.parse(answer.body) as { model: string }).model, 'tiny')
    const { headers } = await lastArrival(fleet.sim)
    assert.deepEqual(
      [headers.connection, headers['transfer-encoding'], headers[':authority']],
      [undefined, undefined, undefined],
    )
    const stream = await curl(flags, '-N', chat, '-d', bodyOf({ stream: true }))
    assert.deepEqual([stream.status, splitEvents(stream.body).events.at(-1)?.data], [200, '[DONE]'])
    const list = await curl(flags, `${url}/v1/models`)
    assert.deepEqual([list.status, list.version], [200, '2'])
    const head = await curl(flags, '-I', `${url}/v1/models`)
    assert.match(head.body, new RegExp(`content-length: ${list.body.length}\\b`))
    const unknown = await curl(flags, chat, '-d', bodyOf({ model: 'none' }))
    assert.deepEqual([unknown.status, unknown.version], [404, '2'])
    assert.match(unknown.body, /model_not_found/)
    const file = join(directory, 'large.json')
    writeFileSync(file, bodyOf({ padding: 'x'.repeat(200_000) }))
    const upload = await curl(flags, '-v', chat, '-H', 'expect: 100-continue', '--data-binary', `@${file}`)
    assert.equal(upload.status, 200)
    assert.match(upload.err, /HTTP\/2 100/)
    writeFileSync(file, bodyOf({ padding: 'x'.repeat(2_000_000) }))
    const tooLarge = await curl(flags, chat, '--data-binary', `@${file}`)
    assert.equal(tooLarge.status, 413)
    assert.match(tooLarge.body, /body_too_large/)
  })

  test(`curl speaks HTTP/1.1 where there is ${title}`, { skip: noCurl }, async () => {
    const plain = flags.filter((one) => !one.startsWith('--http2'))
    const { status, version } = await curl(plain, '--http1.1', `${url}/v1/chat/completions`, '-d', bodyOf({}))
    assert.deepEqual([status, version], [200, '1.1'])
  })

  test(`h2load gets an answer to each of its requests, a hundred streams at a time (${title})`, {
    skip: noH2load,
  }, async () => {
    const file = join(directory, 'load.json')
    writeFileSync(file, bodyOf({ max_tokens: 2 }))
    const load = ['-n', '2000', '-c', '2', '-m', '100', '-d', file, '-H', 'content-type: application/json']
    const { code, out, err } = await run('h2load', [...load, `${url}/v1/chat/completions`])
    assert.equal(code, 0, err)
    assert.match(out, /2000 done, 2000 succeeded, 0 failed, 0 errored, 0 timeout/)
    assert.match(out, /status codes: 2000 2xx/)
  })

  test(`a hundred streams share one connection, each its own (${title})`, async () => {
    const session = await http2Session(url)
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => answerOf(chatStream(session, 5 + i))))
    for (const [i, { status, body, code }] of answers.entries()) {
      const { events, fragment } = splitEvents(body)
      assert.deepEqual([status, code, events.length, fragment], [200, 0, 5 + i + 2, ''])
    }
    session.destroy()
  })

  test(`a stream that the client resets ends the work of the engine, and no other stream (${title})`, async () => {
    const session = await http2Session(url)
    const kept = answerOf(chatStream(session, 300))
    const left = chatStream(session, 10_000)
    left.on('error', () => {})
    await new Promise((resolve) => left.once('data', resolve))
    const before = fleet.sim.stats().aborted
    left.close(8)
    await waitFor('abort in the engine', () => fleet.sim.stats().aborted > before, 1000)
    const { body, code } = await kept
    assert.deepEqual([splitEvents(body).events.at(-1)?.data, code], ['[DONE]', 0])
    const many = Array.from({ length: 20 }, () => chatStream(session, 10_000))
    for (const stream of many) stream.on('error', () => {})
    await waitFor('running streams', () => fleet.sim.stats().running >= 20)
    session.destroy()
    await waitFor('idle engine', () => fleet.sim.stats().running === 0 && fleet.sim.stats().openCalls === 0, 2000)
  })
}

test('the OpenAI Python client streams over HTTP/2', { skip: noPython }, async () => {
  const script = join(import.meta.dirname, 'support', 'openai_http2_client.py')
  // The certificate is made out to a.test: the name is looked up by nobody but checked by the client.
  const url = `https://127.0.0.1:${tlsPort}/v1`
  const { code, out, err } = await run(python, [script, url, certificate.certFile])
  assert.equal(code, 0, err)
  const seen = JSON.parse(out) as { version: string; text: string; streams: string[] }
  assert.equal(seen.version, 'HTTP/2')
  assert.equal(seen.streams.length, 20)
  for (const text of seen.streams) assert.equal(text, seen.text)
})

test('a client that reads nothing of one stream holds up none of the others', async () => {
  const session = await http2Session(`http://127.0.0.1:${plainPort}`, { settings: { initialWindowSize: 1024 } })
  const stalled = chatStream(session, 2000)
  stalled.on('error', () => {})
  await new Promise((resolve) => stalled.once('response', resolve))
  stalled.pause()
  const others = await Promise.all(Array.from({ length: 10 }, () => answerOf(chatStream(session, 100))))
  for (const { body, code } of others) assert.deepEqual([splitEvents(body).events.at(-1)?.data, code], ['[DONE]', 0])
  assert.equal(stalled.destroyed, false)
  session.destroy()
  await waitFor('idle engine', () => fleet.sim.stats().openCalls === 0, 2000)
})

test('streams count as requests, connections as connections', async () => {
  const open = async (): Promise<number> =>
    (await fleet.gateway.metrics()).sum('infer_gateway_connections_open', { listener: 'plain' })
  await waitFor('no connections', async () => (await open()) === 0)
  const session = await http2Session(`http://127.0.0.1:${plainPort}`)
  const lines = fleet.gateway.accessLines.length
  await Promise.all(Array.from({ length: 30 }, () => answerOf(chatStream(session, 2))))
  assert.equal(await open(), 1)
  await waitFor('lines', () => fleet.gateway.accessLines.length >= lines + 30)
  session.destroy()
  await waitFor('no connection', async () => (await open()) === 0)
})

test('SIGTERM lets streams of HTTP/2 finish, says so at once, and ends with 0', async () => {
  const port = await freePorts.take()
  const listeners = [{ name: 'h2c', address: '127.0.0.1', port, http2: true }]
  const sims = [{ ...quick, tpotMs: 20 }]
  await withFleet({ sims, config: (all) => ({ models: { tiny: modelOn(all) }, listeners }) }, async (one) => {
    const session = await http2Session(`http://127.0.0.1:${port}`)
    const answers = Array.from({ length: 10 }, () => answerOf(chatStream(session, 60)))
    await waitFor('running streams', () => one.sim.stats().running === 10)
    const goaway = new Promise<number>((resolve) => session.once('goaway', resolve))
    const exit = one.gateway.stop('SIGTERM')
    assert.equal(await goaway, 0)
    for (const { body, code } of await Promise.all(answers)) {
      assert.deepEqual([splitEvents(body).events.length, code], [62, 0])
    }
    assert.equal(await exit, 0)
  })
})
