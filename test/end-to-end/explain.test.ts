import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import type { DecisionHead, DecisionRecord } from '#contracts/decision-record.ts'
import { modelOn, quick, startFleet } from './support/fleet.ts'
import { freePorts } from './support/ports.ts'
import { run } from './support/run.ts'
import { waitFor } from './support/wait.ts'

const closedPort = await freePorts.take()
/** Says that it is well, and hangs up on every request. */
const rudeServer = createServer((request, response) => {
  if (request.method === 'POST') request.socket.destroy()
  else response.end()
})
await once(rudeServer.listen(0, '127.0.0.1'), 'listening')
after(() => rudeServer.close())
const rude = `127.0.0.1:${(rudeServer.address() as AddressInfo).port}`
const fleet = await startFleet({
  sims: [quick, quick],
  config: (sims) => ({
    threads: 2,
    scheduler: { allowExplain: true, recordEvery: 1 },
    exposeEndpoint: true,
    models: {
      tiny: modelOn(sims),
      other: modelOn(sims, { servedModel: 'tiny' }),
      gone: { engine: 'vllm', endpoints: [`http://${rude}`] },
    },
  }),
})
after(() => fleet.close())
const { gateway, sims } = fleet
const endpoints = sims.map(({ url }) => new URL(url).host)

/** Long enough that the prompt has several blocks of the index. */
const secret = 'a prompt that nobody but the engine may see. '.repeat(60)

async function ask(content: string, headers: Readonly<Record<string, string>> = {}, model = 'tiny') {
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model, user: 'session-of-somebody', max_tokens: 2, messages: [{ role: 'user', content }] }),
  })
  await response.arrayBuffer()
  return {
    status: response.status,
    id: response.headers.get('x-request-id') ?? '',
    endpoint: response.headers.get('x-infer-endpoint') ?? '',
    explained: response.headers.get('x-infer-explain'),
  }
}

async function admin<T>(path: string): Promise<T> {
  const response = await fetch(`${gateway.adminUrl}${path}`)
  assert.equal(response.status, 200, path)
  return (await response.json()) as T
}

const cli = (...args: readonly string[]) =>
  run(join(import.meta.dirname, '..', '..', 'bin', 'infer-gateway'), ['explain', '--admin', gateway.adminUrl, ...args])

describe('a request that asks', () => {
  test('is told the pick, the runner-up and why, and only then', async () => {
    const first = await ask(secret, { 'x-infer-explain': '1' })
    const { status, endpoint, explained } = await ask(secret, { 'x-infer-explain': '1' })
    assert.equal(status, 200)
    const other = endpoints.find((one) => one !== endpoint) ?? ''
    assert.ok(
      (explained ?? '').startsWith(`pick=${endpoint}; runner-up=${other}; profile=default; reason="cost `),
      explained ?? '',
    )
    assert.match(explained ?? '', /[1-9]\d* of [1-9]\d* prompt tokens cached to 0/)
    assert.equal(endpoint, first.endpoint, 'the prompt is where it was')
    assert.ok((explained ?? '').length <= 1024)
    assert.equal((await ask('hello')).explained, null)
    assert.equal((await ask('hello', { 'x-infer-explain': '0' })).explained, null)
  })

  test('that cannot be placed is told why not, try by try', async () => {
    const { status, id, explained } = await ask('hello', { 'x-infer-explain': '1' }, 'gone')
    assert.ok(status === 502 || status === 503, `${status}`)
    assert.match(
      explained ?? '',
      /^pick=none; profile=default; try=2; reason="refused: it has failed on every endpoint"$/,
    )
    const { decisions } = await admin<{ decisions: DecisionHead[] }>(`/debug/decisions/${id}`)
    const tries = decisions.map(({ attempt, chosen }) => [attempt, chosen])
    assert.deepEqual(tries, [
      [2, undefined],
      [1, rude],
    ])
  })

  test('for a model that there is not is refused before anything is decided', async () => {
    const { status, explained } = await ask('hello', { 'x-infer-explain': '1' }, 'nobody')
    assert.deepEqual([status, explained], [404, null])
  })
})

describe('the admin API', () => {
  test('has one decision with its inputs, and neither prompt nor session', async () => {
    await ask(secret)
    const { id, endpoint } = await ask(secret)
    const { decisions } = await admin<{ decisions: DecisionRecord[] }>(`/debug/decisions/${id}`)
    const [decision] = decisions
    assert.ok(decision !== undefined && decisions.length === 1)
    assert.equal(decision.chosen, endpoint)
    assert.deepEqual(
      decision.candidates.map((one) => one.endpoint),
      endpoints,
    )
    const chosen = decision.candidates.find((one) => one.endpoint === endpoint)
    assert.ok((chosen?.facts.cachedTokens ?? 0) > 500, 'the prompt was seen there')
    assert.equal(chosen?.scores.length, 1)
    assert.ok((chosen?.reportAgeMs ?? -1) >= 0, 'signals have an age')
    assert.equal(decision.request.hasSession, true)
    const text = JSON.stringify(decisions)
    assert.ok(!text.includes('nobody but the engine') && !text.includes('session-of-somebody'))
    const inWords = await fetch(`${gateway.adminUrl}/debug/decisions/${id}?format=text`)
    assert.ok((await inWords.text()).includes(`${endpoint} was picked`))
  })

  test('lists the last ones of all threads, filtered', async () => {
    const { id } = await ask('hello', {}, 'other')
    const path = `/debug/decisions?modelServer=${encodeURIComponent('models/other')}&limit=1`
    const { decisions } = await admin<{ decisions: DecisionHead[] }>(path)
    assert.deepEqual(
      decisions.map(({ requestId }) => requestId),
      [id],
    )
    const missing = await fetch(`${gateway.adminUrl}/debug/decisions/nobody`)
    assert.equal(missing.status, 404)
  })

  test('counts the locality that was reached and that could have been', async () => {
    await ask(secret)
    const before = await gateway.metrics()
    await ask(secret)
    const labels = { model_server: 'models/tiny' }
    await waitFor('the count', async () => {
      const now = await gateway.metrics()
      const grown = ['reachable', 'realized'].map((kind) => {
        const name = `infer_gateway_prefix_${kind}_tokens_total`
        return now.sum(name, labels) - before.sum(name, labels)
      })
      return (grown[0] ?? 0) > 500 && grown[0] === grown[1]
    })
  })
})

describe('infer-gateway explain', () => {
  test('prints one decision in words', async () => {
    const { id, endpoint } = await ask(secret)
    const { code, out, err } = await cli(id)
    assert.deepEqual([code, err], [0, ''])
    assert.ok(out.startsWith(`Request ${id} at `), out)
    assert.match(out, new RegExp(`^> +${endpoint} `, 'm'))
  })

  test('lists the last ones', async () => {
    const { id } = await ask('hello')
    const { code, out } = await cli('--last', '3')
    assert.equal(code, 0)
    assert.equal(out.trimEnd().split('\n').length, 4)
    assert.ok(out.includes(id))
    assert.equal((JSON.parse((await cli('--last', '2', '--json')).out) as unknown[]).length, 2)
  })

  test('makes decisions again under another profile, and those in force as they were', async () => {
    for (let i = 0; i < 4; i++) await ask(secret)
    const same = await cli('--what-if', 'default', '--last', '3')
    assert.match(same.out, /^Under profile 'default' 0 of 3 recorded decisions would have gone elsewhere\.\n/)
    assert.match(same.out, /3 of 3 come out as they were/)
    const file = join(gateway.directory, 'other-profile.yaml.txt')
    const profiles = { default: { filters: ['usable'], scorers: [{ type: 'least-request' }] } }
    writeFileSync(file, JSON.stringify({ profiles, models: { tiny: modelOn(sims) } }))
    const other = await cli('--what-if', file, '--last', '3', '--json')
    assert.equal(other.code, 0, other.err)
    const result = JSON.parse(other.out) as { readonly decisions: number; readonly missingFacts: readonly string[] }
    assert.deepEqual([result.decisions, result.missingFacts], [3, []])
  })

  for (const [args, code, says] of [
    [[], 2, /missing argument 'request-id', or --last/],
    [['nobody'], 1, /^error: request 'nobody': no decision of this request is recorded/],
    [['--last', '0'], 1, /whole number from 1 to 1000/],
    [
      ['--what-if', 'nonsense'],
      1,
      /'nonsense' is no file, no profile \(there are default, .*house, balanced, llm-d, kthena\)/,
    ],
    [
      ['--last', '1', '--admin', `http://127.0.0.1:${closedPort}`],
      1,
      /cannot be asked \(ECONNREFUSED\); --admin says where it is/,
    ],
    [['--last', '1', '--admin', 'nowhere'], 1, /'nowhere' is no URL such as/],
  ] as const) {
    test(`says what is wrong with ${args.join(' ') || 'no argument'}`, async () => {
      const result = await cli(...args)
      assert.equal(result.code, code, result.err)
      assert.match(result.err, says)
    })
  }
})

test('where it is not allowed the header means nothing, and without sampling nothing is recorded', async () => {
  gateway.rewrite({
    scheduler: { recordEvery: 0 },
    models: { tiny: modelOn(sims), after: modelOn(sims, { servedModel: 'tiny' }) },
  })
  await waitFor('the new configuration', async () => (await ask('hello', {}, 'after')).status === 200)
  const { status, id, explained } = await ask('hello', { 'x-infer-explain': '1' })
  assert.deepEqual([status, explained], [200, null])
  assert.equal((await fetch(`${gateway.adminUrl}/debug/decisions/${id}`)).status, 404)
})
