/** Engines that misbehave behind a gateway of its own process: who suffers, and for how long. */
import assert from 'node:assert/strict'
import { request as httpRequest } from 'node:http'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import OpenAI from 'openai'
import { startSim } from '#sim/server.ts'
import { lastArrival, modelOn, quick, startFleet, withFleet } from './support/fleet.ts'
import { RunningGateway } from './support/gateway.ts'
import { freePorts } from './support/ports.ts'
import { type RawAnswer, RawUpstream } from './support/raw-upstream.ts'
import { runMany, sleep, waitFor } from './support/wait.ts'

const answerBody = '{"object":"chat.completion","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}'
const answerHead = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n'
const answersWell: RawAnswer = (socket) =>
  void socket.write(`${answerHead}content-length: ${answerBody.length}\r\n\r\n${answerBody}`)

interface Reply {
  readonly status: number
  readonly headers: NodeJS.Dict<string | string[]>
  readonly text: string
}

/** Posts a chat from a loopback address of its own: the gateway tells clients apart by it. */
function post(gateway: RunningGateway, prompt: string, from: string): Promise<Reply> {
  const body = JSON.stringify({ model: 'tiny', messages: [{ role: 'user', content: prompt }], max_tokens: 4 })
  const headers = { 'content-type': 'application/json', 'content-length': String(body.length) }
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      `${gateway.url}/v1/chat/completions`,
      { method: 'POST', headers, localAddress: from, agent: false },
      (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (part: string) => (text += part))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }))
        response.on('error', reject)
      },
    )
    request.on('error', reject)
    request.end(body)
  })
}

/** Runs `test` with a gateway in front of these engines, which have no metrics page. */
async function withEngines(
  answers: readonly RawAnswer[],
  more: Readonly<Record<string, unknown>>,
  run: (gateway: RunningGateway, engines: readonly RawUpstream[]) => Promise<void>,
): Promise<void> {
  const engines = await Promise.all(answers.map((answer) => RawUpstream.start(answer)))
  const close = () => Promise.all(engines.map((engine) => engine.close()))
  try {
    const model = { endpoints: engines.map(({ url }) => url), scrape: false, ...more }
    const gateway = await RunningGateway.start({ models: { tiny: model } })
    try {
      await run(gateway, engines)
    } catch (error) {
      await gateway.close().catch(() => {})
      throw error
    }
    await gateway.close()
  } finally {
    await close()
  }
}

const poisons: readonly { readonly name: string; readonly harm: (socket: Socket) => void }[] = [
  {
    name: 'makes every engine answer 500',
    harm: (socket) => void socket.write('HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\n\r\nboom'),
  },
  { name: 'makes every engine break off', harm: (socket) => void socket.resetAndDestroy() },
  {
    name: 'makes every engine answer 503',
    harm: (socket) => void socket.write('HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy'),
  },
  {
    name: 'makes every engine begin its stream with an error',
    harm: (socket) => {
      const event = 'data: {"error":{"message":"boom","code":500}}\n\n'
      socket.write(
        `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: ${event.length}\r\n\r\n${event}`,
      )
    },
  },
]

for (const { name, harm } of poisons) {
  test(`a request that ${name}, sent 200 times by one client, takes no engine from the others`, () => {
    const engine: RawAnswer = (socket, request) =>
      request.includes('POISON') ? harm(socket) : answersWell(socket, request)
    return withEngines([engine, engine, engine], {}, async (gateway, engines) => {
      const poison = runMany(200, 8, () => post(gateway, 'POISON', '127.0.0.9'))
      const good = runMany(400, 8, (i) => post(gateway, 'hello', `127.0.0.${2 + (i % 4)}`))
      const statuses = (await good).map(({ status }) => status)
      assert.deepEqual([...new Set(statuses)], [200])
      await poison
      // One more poison request after another, alone: nothing else tells the gateway that the engines are well.
      await runMany(20, 1, () => post(gateway, 'POISON', '127.0.0.9'))
      const before = engines.map(({ requests }) => requests)
      const after = await runMany(60, 6, () => post(gateway, 'hello', '127.0.0.2'))
      assert.deepEqual([...new Set(after.map(({ status }) => status))], [200])
      for (const [i, { requests }] of engines.entries()) {
        assert.ok(requests - (before[i] ?? 0) >= 5, `engine ${i} got ${requests - (before[i] ?? 0)} of the last 60`)
      }
      assert.equal((await gateway.metrics()).sum('infer_gateway_endpoint_ejections_total'), 0)
    })
  })
}

test('an engine that breaks off is ejected, probed by one request at a time, and comes back slowly', () => {
  let isBroken = true
  let open = 0
  let mostOpen = 0
  const sick: RawAnswer = async (socket, request) => {
    if (!isBroken) return answersWell(socket, request)
    mostOpen = Math.max(mostOpen, ++open)
    await sleep(30)
    open--
    socket.resetAndDestroy()
  }
  const ejection = { failures: 3, time: '300ms', maxTime: '600ms', slowStart: '1s' }
  return withEngines([sick, answersWell], { ejection }, async (gateway, engines) => {
    const [bad] = engines
    const statuses: number[] = []
    const load = async (count: number): Promise<void> => {
      const replies = await runMany(count, 4, (i) => post(gateway, 'hello', `127.0.0.${2 + (i % 4)}`))
      statuses.push(...replies.map(({ status }) => status))
    }
    const stateOf = async () =>
      (await gateway.status()).endpoints.find(({ endpoint }) => bad?.url.endsWith(endpoint) === true)
    await waitFor('ejection', async () => {
      await load(10)
      return (await stateOf())?.state === 'ejected'
    })
    mostOpen = 0
    const before = bad?.requests ?? 0
    const deadline = performance.now() + 1500
    while (performance.now() < deadline) await load(20)
    const probes = (bad?.requests ?? 0) - before
    assert.ok(probes >= 1 && probes <= 8, `${probes} probes`)
    assert.equal(mostOpen, 1)
    isBroken = false
    await waitFor('slow start', async () => {
      await load(10)
      return (await stateOf())?.state === 'slow-start'
    })
    await waitFor('closed breaker', async () => (await stateOf())?.state === 'closed')
    assert.deepEqual([...new Set(statuses)], [200])
    const page = await gateway.metrics()
    assert.equal(page.sum('infer_gateway_endpoint_ejections_total', { reason: 'streak' }), 1)
    assert.ok(page.sum('infer_gateway_endpoint_ejections_total', { reason: 'probe' }) >= 1)
    assert.equal(page.sum('infer_gateway_endpoint_state', { state: 'closed' }), 2)
  })
})

test('the only engine is never given up, whatever it does', () => {
  let isBroken = true
  const sick: RawAnswer = (socket, request) => (isBroken ? void socket.resetAndDestroy() : answersWell(socket, request))
  return withEngines([sick], { ejection: { time: '30s' } }, async (gateway) => {
    const failed = await runMany(20, 4, (i) => post(gateway, 'hello', `127.0.0.${2 + (i % 4)}`))
    assert.deepEqual([...new Set(failed.map(({ status }) => status))], [502])
    isBroken = false
    assert.equal((await post(gateway, 'hello', '127.0.0.2')).status, 200)
  })
})

test('engines that ask for a rest are left alone; when all do, their answer and its retry-after pass on', () => {
  const busy: RawAnswer = (socket) =>
    void socket.write(
      'HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\ncontent-length: 17\r\nretry-after: 5\r\n\r\n{"error":"later"}',
    )
  return withEngines([busy, answersWell], {}, async (gateway, [first, second]) => {
    const replies = await runMany(40, 4, () => post(gateway, 'hello', '127.0.0.2'))
    assert.deepEqual([...new Set(replies.map(({ status }) => status))], [200])
    assert.ok((first?.requests ?? 0) <= 4, `${first?.requests} requests went to the engine that rests`)
    if (second !== undefined) second.answer = busy
    const reply = await post(gateway, 'hello', '127.0.0.2')
    assert.deepEqual([reply.status, reply.headers['retry-after'], reply.text], [429, '5', '{"error":"later"}'])
  })
})

test('a whole target that is down costs nobody an answer: its siblings take over, with their own model name', async () => {
  const dead = [await freePorts.take(), await freePorts.take()]
  const config = (sims: Parameters<typeof modelOn>[0]) => ({
    models: {
      stable: modelOn(sims, { servedModel: 'tiny', scrape: false }),
      canary: { endpoints: dead.map((port) => `http://127.0.0.1:${port}`), servedModel: 'other', scrape: false },
      mixed: { split: { stable: 10, canary: 90 } },
    },
  })
  await withFleet({ config }, async ({ gateway, sim }) => {
    const statuses = await runMany(60, 4, async () => {
      const response = await fetch(`${gateway.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'mixed', messages: [{ role: 'user', content: 'x' }], max_tokens: 2 }),
      })
      const text = await response.text()
      return response.status === 200 && !text.includes('"mixed"') ? 0 : response.status
    })
    assert.deepEqual([...new Set(statuses)], [200])
    assert.match((await lastArrival(sim)).body.toString(), /"model":"tiny"/)
    const page = await gateway.metrics()
    assert.ok(page.sum('infer_gateway_skipped_targets_total') > 20)
    assert.equal(page.sum('infer_gateway_requests_total', { status: '200' }), 60)
  })
})

test('engines that are restarted one after the other under load cost nobody an answer', async () => {
  const ports = [await freePorts.take(), await freePorts.take(), await freePorts.take()]
  const fleet = await startFleet({
    sims: ports.map((port) => ({ ...quick, port })),
    config: (sims) => ({ models: { tiny: modelOn(sims, { ejection: { time: '100ms', slowStart: '200ms' } }) } }),
  })
  const sims = [...fleet.sims]
  const over = new AbortController()
  const statuses: number[] = []
  const client = async (n: number): Promise<void> => {
    while (!over.signal.aborted) statuses.push((await post(fleet.gateway, 'hello', `127.0.0.${2 + n}`)).status)
  }
  try {
    const clients = Array.from({ length: 4 }, (_, n) => client(n))
    for (const [i, port] of ports.entries()) {
      await sleep(300)
      // As engines do on SIGTERM: nothing new is taken, what is under way is finished.
      const sim = sims[i]
      await waitFor('an idle moment', () => sim?.stats().openCalls === 0)
      await sim?.close()
      await sleep(150)
      sims[i] = await startSim({ ...quick, port })
    }
    await sleep(500)
    over.abort()
    await Promise.all(clients)
    assert.ok(statuses.length > 100, String(statuses.length))
    assert.deepEqual([...new Set(statuses)], [200])
    for (const sim of sims) assert.ok(sim.stats().finished > 0, 'every engine is used again')
  } finally {
    over.abort()
    await fleet.close()
    await Promise.all(sims.map((sim) => sim.close()))
  }
})

test('an OpenAI client does not notice that a stream began with an error somewhere', () => {
  const sse = (text: string): RawAnswer => {
    const head = `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: ${text.length}\r\n\r\n`
    return (socket) => void socket.write(head + text)
  }
  const chunk = (delta: object) =>
    `data: ${JSON.stringify({ id: 'x', object: 'chat.completion.chunk', created: 1, model: 'tiny', choices: [{ index: 0, delta, finish_reason: null }] })}\n\n`
  const failing = sse(
    `${chunk({ role: 'assistant', content: '' })}data: {"error":{"message":"died","code":500}}\n\ndata: [DONE]\n\n`,
  )
  const working = sse(`${chunk({ role: 'assistant', content: '' })}${chunk({ content: 'yes' })}data: [DONE]\n\n`)
  return withEngines([failing, working], {}, async (gateway) => {
    const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'x', maxRetries: 0 })
    for (let i = 0; i < 20; i++) {
      const messages = [{ role: 'user' as const, content: 'hello' }]
      const stream = await client.chat.completions.create({ model: 'tiny', messages, stream: true })
      let text = ''
      for await (const { choices } of stream) text += choices[0]?.delta.content ?? ''
      assert.equal(text, 'yes')
    }
    const page = await gateway.metrics()
    assert.ok(page.sum('infer_gateway_upstream_attempts_total', { result: 'upstream-error-event' }) >= 1)
  })
})
