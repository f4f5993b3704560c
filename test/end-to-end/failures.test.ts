import assert from 'node:assert/strict'
import { test } from 'node:test'
import OpenAI from 'openai'
import type { SimFault } from '#sim/fault.ts'
import { type Fleet, modelOn, quick, withFleet } from './support/fleet.ts'
import { freePorts } from './support/ports.ts'
import { RawUpstream } from './support/raw-upstream.ts'
import { splitEvents } from './support/sse.ts'
import { runMany, waitFor } from './support/wait.ts'

const timeouts = { connect: '500ms', firstByte: '400ms', idle: '400ms' }

function ask({ gateway }: Pick<Fleet, 'gateway'>, more: object = {}): Promise<Response> {
  const messages = [{ role: 'user', content: 'hello' }]
  return fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'tiny', messages, max_tokens: 8, ...more }),
  })
}

async function errorOf(response: Response): Promise<Record<string, unknown>> {
  return ((await response.json()) as { error: Record<string, unknown> }).error
}

interface LoneCase {
  readonly title: string
  readonly fault: SimFault
  readonly status: number
  readonly headers?: Readonly<Record<string, string | null>>
  /** Of the error. */
  readonly says: RegExp
}

/** What a client sees when its only engine fails before its answer has begun. */
const lone: readonly LoneCase[] = [
  {
    title: 'a 500',
    fault: { kind: 'status', status: 500 },
    status: 500,
    headers: { 'x-infer-reason': null },
    says: /injected fault/,
  },
  {
    title: 'a 503',
    fault: { kind: 'status', status: 503, retryAfterS: 7 },
    status: 503,
    headers: { 'retry-after': '7', 'x-infer-reason': null },
    says: /injected fault/,
  },
  {
    title: 'a 429',
    fault: { kind: 'status', status: 429, retryAfterS: 3 },
    status: 429,
    headers: { 'retry-after': '3' },
    says: /injected fault/,
  },
  { title: 'a 400', fault: { kind: 'status', status: 400 }, status: 400, says: /injected fault/ },
  {
    title: 'bytes that are not HTTP',
    fault: { kind: 'garbage' },
    status: 502,
    headers: { 'x-infer-reason': 'upstream-malformed' },
    says: /not a valid HTTP response/,
  },
  {
    title: 'a reset before the head',
    fault: { kind: 'reset-before-headers' },
    status: 502,
    headers: { 'x-infer-reason': 'upstream-reset' },
    says: /closed the connection/,
  },
  {
    title: 'a reset behind the head',
    fault: { kind: 'reset-after-headers' },
    status: 502,
    headers: { 'x-infer-reason': 'upstream-reset' },
    says: /closed the connection/,
  },
  {
    title: 'silence',
    fault: { kind: 'hang-before-headers' },
    status: 504,
    headers: { 'x-infer-reason': 'upstream-first-byte-timeout' },
    says: /did not begin/,
  },
]

test('a lone engine that fails before its answer is reported once, with what the client can do', async (t) => {
  const config = (sims: Fleet['sims']) => ({ models: { tiny: modelOn(sims, { timeouts, scrape: false }) } })
  await withFleet({ config }, async (fleet) => {
    for (const { title, fault, status, headers = {}, says } of lone) {
      await t.test(`${title} becomes ${status}`, async () => {
        for (const stream of [false, true]) {
          fleet.sim.setFault(fault)
          const calls = fleet.sim.stats().calls
          const response = await ask(fleet, { stream })
          assert.equal(response.status, status)
          for (const [name, value] of Object.entries(headers)) assert.equal(response.headers.get(name), value, name)
          assert.ok(response.headers.get('x-request-id'))
          assert.match(String((await errorOf(response)).message), says)
          assert.equal(fleet.sim.stats().calls - calls, 1)
        }
      })
    }
  })
})

test('with a sibling the same failures are retried there, and the client sees nothing of them', async (t) => {
  const cases = lone.filter(({ status, title }) => status > 500 && title !== 'silence')
  // Each case has a model and two servers of its own: what one endpoint did wrong is remembered for a while.
  const pairOf = (sims: Fleet['sims'], i: number) => sims.slice(2 * i, 2 * i + 2)
  const config = (sims: Fleet['sims']) => ({
    models: Object.fromEntries(cases.map((_, i) => [`m${i}`, modelOn(pairOf(sims, i), { servedModel: 'tiny' })])),
  })
  await withFleet({ sims: cases.flatMap(() => [quick, quick]), config }, async (fleet) => {
    let retriesBefore = 0
    for (const [i, { title, fault }] of cases.entries()) {
      await t.test(title, async () => {
        const [bad, good] = pairOf(fleet.sims, i)
        bad?.setFault(fault)
        const statuses = await runMany(20, 4, async (n) => {
          const response = await ask(fleet, { model: `m${i}`, stream: n % 2 === 0 })
          await response.text()
          return response.status
        })
        assert.ok(
          statuses.every((status) => status === 200),
          statuses.join(' '),
        )
        const hits = bad?.stats().calls ?? 0
        assert.ok(hits > 0 && hits <= 12, `${hits} requests went to the endpoint that fails`)
        assert.equal(good?.stats().finished, 20)
        const retries = (await fleet.gateway.metrics()).sum('infer_gateway_upstream_retries_total')
        assert.equal(retries - retriesBefore, hits)
        retriesBefore = retries
      })
    }
  })
})

test('a 500 is not retried: it may be the prompt', () =>
  withFleet({ sims: [quick, quick] }, async (fleet) => {
    for (const sim of fleet.sims) sim.setFault({ kind: 'status', status: 500 })
    const response = await ask(fleet)
    assert.equal(response.status, 500)
    assert.deepEqual(await errorOf(response), {
      message: 'injected fault',
      type: 'SimulatedError',
      param: null,
      code: 500,
    })
    assert.equal(
      fleet.sims.reduce((sum, sim) => sum + sim.stats().calls, 0),
      1,
    )
  }))

test('an engine that is down costs nobody an answer as long as it has a sibling', async () => {
  const dead = await freePorts.take()
  const config = (sims: Fleet['sims']) => ({
    models: { tiny: { engine: 'vllm', endpoints: [`http://127.0.0.1:${dead}`, sims[0]?.url] } },
  })
  await withFleet({ config }, async (fleet) => {
    const statuses = await runMany(100, 20, async (i) => {
      const response = await ask(fleet, { stream: i % 2 === 0 })
      await response.text()
      return response.status
    })
    assert.ok(statuses.every((status) => status === 200))
    await waitFor('report of the dead endpoint', async () => {
      const { endpoints } = await fleet.gateway.status()
      return endpoints.some(({ endpoint, health }) => endpoint.endsWith(`:${dead}`) && health === 'unready')
    })
  })
})

test('a stream that breaks off ends with an error that clients raise', async (t) => {
  const faults: readonly (readonly [string, SimFault, string])[] = [
    ['truncated', { kind: 'truncate', chunks: 3 }, 'upstream_reset'],
    ['reset', { kind: 'reset-after-chunks', chunks: 3 }, 'upstream_reset'],
    ['stalled', { kind: 'hang-mid-stream', chunks: 3 }, 'upstream_idle_timeout'],
  ]
  const config = (sims: Fleet['sims']) => ({ models: { tiny: modelOn(sims, { timeouts }) } })
  await withFleet({ config }, async (fleet) => {
    const client = new OpenAI({ baseURL: `${fleet.gateway.url}/v1`, apiKey: 'x', maxRetries: 0 })
    for (const [title, fault, code] of faults) {
      await t.test(title, async () => {
        fleet.sim.setFault(fault)
        const text = await (await ask(fleet, { stream: true })).text()
        const { events, fragment } = splitEvents(text)
        assert.equal(fragment, '')
        assert.equal((JSON.parse(events.at(-1)?.data ?? '') as { error: { code: string } }).error.code, code)
        assert.ok(!text.includes('[DONE]'))

        const messages = [{ role: 'user' as const, content: 'hello' }]
        const stream = await client.chat.completions.create({ model: 'tiny', messages, stream: true })
        const read = async (): Promise<void> => {
          for await (const _ of stream);
        }
        await assert.rejects(read(), (error: unknown) => error instanceof OpenAI.APIError && error.code === code)

        const anthropic = await fetch(`${fleet.gateway.url}/v1/messages`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ model: 'tiny', messages, max_tokens: 8, stream: true }),
        })
        const last = splitEvents(await anthropic.text()).events.at(-1)
        assert.equal(last?.event, 'error')
        assert.equal((JSON.parse(last.data) as { type: string }).type, 'error')
      })
    }
    const page = await fleet.gateway.metrics()
    assert.equal(page.sum('infer_gateway_streams_cut_total'), 9)
  })
})

test('a unary answer that breaks off is never passed on as if it were whole', async () => {
  const config = (sims: Fleet['sims']) => ({ models: { tiny: modelOn(sims, { timeouts }) } })
  await withFleet({ config }, async (fleet) => {
    for (const kind of ['truncate', 'reset-after-chunks', 'hang-mid-stream', 'wrong-content-length'] as const) {
      fleet.sim.setFault({ kind })
      const outcome = await ask(fleet)
        .then(
          async (response) => ({ status: response.status, text: await response.text() }),
          () => undefined,
        )
        .catch(() => undefined)
      if (outcome !== undefined) assert.ok(outcome.status >= 500, `${kind}: ${outcome.status} ${outcome.text}`)
    }
  })
})

test('with no endpoint left the client is told to come back, and when', async () => {
  const dead = await freePorts.take()
  const config = () => ({ models: { tiny: { engine: 'vllm', endpoints: [`http://127.0.0.1:${dead}`] } } })
  await withFleet({ config }, async (fleet) => {
    const response = await waitFor('refusal', async () => {
      const answer = await ask(fleet)
      return answer.status === 503 ? answer : undefined
    })
    assert.equal(response.headers.get('x-infer-reason'), 'no-endpoint')
    assert.match(response.headers.get('retry-after') ?? '', /^\d+$/)
    assert.equal((await errorOf(response)).code, 'no_endpoint')
  })
})

test('a weighted model whose endpoints are all down is passed over, and that is counted', async () => {
  const dead = await freePorts.take()
  const config = (sims: Fleet['sims']) => ({
    models: {
      stable: modelOn(sims, { servedModel: 'tiny' }),
      canary: { engine: 'vllm', endpoints: [`http://127.0.0.1:${dead}`], servedModel: 'tiny' },
      tiny: { split: { stable: 10, canary: 90 } },
    },
  })
  await withFleet({ config }, async (fleet) => {
    const statuses = await runMany(40, 4, async () => {
      const response = await ask(fleet)
      await response.text()
      return response.status
    })
    assert.ok(
      statuses.every((status) => status === 200),
      statuses.join(' '),
    )
    const page = await fleet.gateway.metrics()
    assert.ok(page.sum('infer_gateway_skipped_targets_total') > 10)
  })
})

test('an engine that closes idle connections costs nobody an answer', async () => {
  const body = '{"object":"chat.completion","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}'
  const head = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`
  // Answers, says nothing of closing, and hangs up at once: the next request meets a dead connection.
  const upstream = await RawUpstream.start((socket) => void socket.end(head + body))
  const config = () => ({ models: { tiny: { endpoints: [upstream.url], scrape: false } } })
  await withFleet({ config }, async (fleet) => {
    const statuses = await runMany(200, 8, async () => {
      const response = await ask(fleet)
      await response.text()
      return response.status
    })
    assert.ok(
      statuses.every((status) => status === 200),
      statuses.join(' '),
    )
  })
  await upstream.close()
})
