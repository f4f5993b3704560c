import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import type { SimFault } from './fault.ts'
import { type Sim, startSim } from './server.ts'
import { get, openRaw, pick, post, type RawEnd, readRaw, until } from './test-client.ts'

const PATH = '/v1/completions'
const UNARY = { model: 'tiny', prompt: 'x', max_tokens: 4 }
const STREAM = { ...UNARY, stream: true }

let sim: Sim

before(async () => {
  sim = await startSim({ models: ['tiny'], ttftMs: 2, tpotMs: 2 })
})

afterEach(() => sim.setFault(undefined))

after(() => sim.close())

/** Sends one request under a fault and says what came. */
async function under(fault: SimFault, body: object, waitMs = 1_000): Promise<{ text: string; end: RawEnd }> {
  sim.setFault(fault)
  const socket = await openRaw(sim, PATH, body, ['connection: close'])
  const answer = await readRaw(socket, waitMs)
  socket.destroy()
  return answer
}

function chunksIn(text: string): number {
  return text.split('data: {').length - 1
}

test('without a fault an answer is whole and the connection ends cleanly', async () => {
  const socket = await openRaw(sim, PATH, STREAM, ['connection: close'])
  const { text, end } = await readRaw(socket, 1_000)
  assert.deepEqual([chunksIn(text), end], [4, 'end'])
  assert.ok(text.endsWith('\r\n0\r\n\r\n'))
})

test('a status comes instead of the answer, with advice when wanted', async () => {
  const { text } = await under({ kind: 'status', status: 429, retryAfterS: 7 }, UNARY)
  assert.match(text, /^HTTP\/1\.1 429 /)
  assert.match(text, /\r\nretry-after: 7\r\n/)
  const plain = await under({ kind: 'status' }, UNARY)
  assert.match(plain.text, /^HTTP\/1\.1 500 /)
  assert.doesNotMatch(plain.text, /retry-after/)
})

test('a delay comes before the answer, alone and with other kinds', async () => {
  for (const kind of ['delay', 'status', 'reset-before-headers'] as const) {
    const startMs = performance.now()
    const { text, end } = await under({ kind, delayMs: 60 }, UNARY)
    assert.ok(performance.now() - startMs >= 59)
    assert.equal(end, kind === 'reset-before-headers' ? 'reset' : 'end')
    assert.equal(text === '', kind === 'reset-before-headers')
  }
})

test('garbage is no HTTP', async () => {
  const { text } = await under({ kind: 'garbage' }, UNARY)
  assert.ok(text.length > 0)
  assert.doesNotMatch(text, /HTTP/)
})

test('a reset comes before headers, after headers or after chunks', async () => {
  for (const body of [UNARY, STREAM]) {
    const early = await under({ kind: 'reset-before-headers' }, body)
    assert.deepEqual(early, { text: '', end: 'reset' })
    const late = await under({ kind: 'reset-after-headers' }, body)
    assert.match(late.text, /^HTTP\/1\.1 200 OK\r\n/)
    assert.ok(late.text.endsWith('\r\n\r\n'))
    assert.equal(late.end, 'reset')
  }
  const some = await under({ kind: 'reset-after-chunks', chunks: 3 }, STREAM)
  assert.deepEqual([chunksIn(some.text), some.end], [3, 'reset'])
  const half = await under({ kind: 'reset-after-chunks' }, UNARY)
  assert.match(half.text, /\r\n\r\n\{"id"/)
  assert.deepEqual([half.text.endsWith('}'), half.end], [false, 'reset'])
})

test('a truncated answer ends cleanly in mid-body', async () => {
  const stream = await under({ kind: 'truncate', chunks: 2 }, STREAM)
  assert.deepEqual([chunksIn(stream.text), stream.end], [2, 'end'])
  assert.ok(!stream.text.endsWith('0\r\n\r\n'))
  const unary = await under({ kind: 'truncate' }, UNARY)
  const length = Number(/content-length: (\d+)/.exec(unary.text)?.[1])
  const sent = unary.text.length - unary.text.indexOf('\r\n\r\n') - 4
  assert.equal(sent, length >> 1)
  assert.equal(unary.end, 'end')
})

test('a hanging answer keeps its place in the engine until the client leaves', async () => {
  for (const [fault, body] of [
    [{ kind: 'hang-before-headers' }, UNARY],
    [{ kind: 'hang-before-headers' }, STREAM],
    [{ kind: 'hang-mid-stream', chunks: 2 }, STREAM],
  ] as const) {
    const aborted = sim.stats().aborted
    sim.setFault(fault)
    const socket = await openRaw(sim, PATH, body)
    const { text, end } = await readRaw(socket, 250)
    assert.equal(end, 'open')
    assert.equal(chunksIn(text), fault.kind === 'hang-mid-stream' ? 2 : 0)
    assert.deepEqual([sim.stats().running, sim.stats().openCalls], [1, 1])
    socket.destroy()
    await until(() => sim.stats().running === 0 && sim.stats().openCalls === 0, 'the engine is free')
    assert.equal(sim.stats().aborted, aborted + 1)
  }
})

test('a wrong length is announced, too great or too small', async () => {
  for (const deltaBytes of [10, -10]) {
    const { text } = await under({ kind: 'wrong-content-length', deltaBytes }, UNARY)
    const announced = Number(/content-length: (\d+)/.exec(text)?.[1])
    const sent = text.length - text.indexOf('\r\n\r\n') - 4
    assert.equal(announced - sent, deltaBytes)
  }
})

test('a fault is used up after the given number of answers', async () => {
  sim.setFault({ kind: 'status', status: 503, times: 2 })
  const statuses = []
  for (let i = 0; i < 3; i++) statuses.push((await post(sim, PATH, UNARY)).status)
  assert.deepEqual(statuses, [503, 503, 200])
})

test('a fault comes by request header and by prompt, and there it can be used up, too', async () => {
  assert.equal((await post(sim, PATH, UNARY, { 'x-sim-fault': 'status;status=418' })).status, 418)
  const marked = { ...UNARY, prompt: 'please SIM_FAULT(status;status=502;times=1) now' }
  assert.deepEqual([(await post(sim, PATH, marked)).status, (await post(sim, PATH, marked)).status], [502, 200])
  assert.equal((await post(sim, PATH, UNARY, { 'x-sim-fault': 'nonsense' })).status, 400)
})

test('a fault with a path hits that path alone, any other leaves administration alone', async () => {
  sim.setFault({ kind: 'status', status: 500, path: '/metrics' })
  assert.match(await get(sim, '/metrics'), /injected fault/)
  assert.equal((await post(sim, PATH, UNARY)).status, 200)
  sim.setFault({ kind: 'status', status: 500 })
  assert.match(await get(sim, '/metrics'), /num_requests_running/)
})

test('faults are set over HTTP, shown and ended there', async () => {
  const set = await post(sim, '/sim/faults', { kind: 'status', status: 503, times: 1 })
  assert.equal(pick(set.text, 'kind'), 'status')
  assert.equal((await post(sim, PATH, UNARY)).status, 503)
  assert.equal(pick(await get(sim, '/sim/faults'), 'times'), 1)
  assert.equal((await post(sim, '/sim/faults', 'null')).text, 'null')
  const wrong = await post(sim, '/sim/faults', { kind: 'what' })
  assert.equal(wrong.status, 400)
  assert.match(wrong.text, /kind must be one of/)
})
