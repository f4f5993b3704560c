import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Fleet, modelOn, quick, startFleet } from './support/fleet.ts'
import { RunningGateway } from './support/gateway.ts'
import { waitFor } from './support/wait.ts'

const scorers = [{ type: 'least-request', weight: 1 }]
const secret = 'the same for all replicas'

const configOf = (all: Fleet['sims']) => ({
  exposeEndpoint: true,
  sessionFrom: [
    { header: 'x-conversation' },
    { cookie: 'conversation' },
    { query: 'conversation' },
    { claim: 'sub' },
    'agent',
    'body',
  ],
  profiles: {
    default: { filters: ['usable'], scorers: [{ type: 'session-affinity', weight: 10 }, ...scorers] },
    tokens: {
      filters: ['usable'],
      scorers: [{ type: 'session-affinity', weight: 10, carrier: 'header', secret }, ...scorers],
    },
    cookies: {
      filters: ['usable'],
      scorers: [{ type: 'session-affinity', weight: 10, carrier: 'cookie', carrierName: 'home', secret }, ...scorers],
    },
  },
  models: {
    tiny: modelOn(all),
    tokens: modelOn(all, { servedModel: 'tiny', profile: 'tokens' }),
    cookies: modelOn(all, { servedModel: 'tiny', profile: 'cookies' }),
  },
})

describe('sessions', { timeout: 120_000 }, () => {
  let fleet: Fleet
  let replica: RunningGateway
  before(async () => {
    fleet = await startFleet({ sims: [quick, quick, quick, quick], config: configOf })
    replica = await RunningGateway.start(configOf(fleet.sims), { onFailure: () => fleet.close() })
  })
  after(async () => {
    await replica.close()
    await fleet.close()
  })

  interface Ask {
    readonly model?: string
    readonly headers?: Readonly<Record<string, string>>
    readonly query?: string
    readonly body?: object
    readonly path?: string
    readonly to?: RunningGateway
  }

  async function ask({ model = 'tiny', headers = {}, query = '', body = {}, path = '/v1/chat/completions', to }: Ask) {
    const { url } = to ?? fleet.gateway
    const response = await fetch(`${url}${path}${query}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hello' }], max_tokens: 2, ...body }),
    })
    const text = await response.text()
    assert.equal(response.status, 200, text)
    return { endpoint: response.headers.get('x-infer-endpoint'), headers: response.headers }
  }

  /** Where twelve requests went, in turns with others that have no session. */
  async function placesOf(request: Ask): Promise<Set<string | null>> {
    const places = new Set<string | null>()
    for (let i = 0; i < 12; i++) {
      places.add((await ask(request)).endpoint)
      await ask({})
    }
    return places
  }

  test('requests without one go everywhere', async () => {
    assert.ok((await placesOf({})).size > 1)
  })

  const token = (sub: string): string => `Bearer x.${Buffer.from(JSON.stringify({ sub })).toString('base64url')}.y`
  const cases: readonly (readonly [title: string, request: Ask])[] = [
    ['a header', { headers: { 'x-conversation': 'a' } }],
    ['a cookie', { headers: { cookie: 'x=y; conversation=b' } }],
    ['the query', { query: '?conversation=c' }],
    ['a claim', { headers: { authorization: token('d') } }],
    ['the header of an agent client', { headers: { 'x-claude-code-session-id': 'e' } }],
    ['prompt_cache_key', { body: { prompt_cache_key: 'f' } }],
    ['user', { body: { user: 'g' } }],
    ['metadata.user_id', { path: '/v1/messages', body: { metadata: { user_id: 'h' } } }],
  ]
  for (const [title, request] of cases) {
    test(`by ${title} stay where they are`, async () => {
      assert.equal((await placesOf(request)).size, 1)
    })
  }

  test('stay where they are over a reload', async () => {
    const request = { headers: { 'x-conversation': 'reloaded' } }
    const { endpoint } = await ask(request)
    fleet.gateway.rewrite({
      ...configOf(fleet.sims),
      models: { ...configOf(fleet.sims).models, more: modelOn(fleet.sims) },
    })
    const isThere = async (): Promise<boolean> => (await fetch(`${fleet.gateway.url}/v1/models/more`)).status === 200
    await waitFor('the new configuration', isThere)
    for (let i = 0; i < 8; i++) assert.equal((await ask(request)).endpoint, endpoint)
  })

  test('no answer has a token unless it is configured', async () => {
    const { headers } = await ask({ headers: { 'x-conversation': 'a' } })
    assert.deepEqual([headers.get('x-infer-session'), headers.get('set-cookie')], [null, null])
  })

  test('by a token find their endpoint again through another replica', async () => {
    const places = new Set<string | null>()
    for (let i = 0; i < 6; i++) {
      const first = await ask({ model: 'tokens' })
      const session = first.headers.get('x-infer-session') ?? ''
      places.add(first.endpoint)
      for (const to of [replica, fleet.gateway, replica]) {
        const next = await ask({ model: 'tokens', headers: { 'x-infer-session': session }, to })
        assert.equal(next.endpoint, first.endpoint)
        assert.notEqual(next.headers.get('x-infer-session'), null)
      }
    }
    assert.ok(places.size > 1)
  })

  test('by a cookie as well', async () => {
    const first = await ask({ model: 'cookies' })
    const [cookie = ''] = (first.headers.get('set-cookie') ?? '').split(';')
    assert.match(cookie, /^home=[\w-]{39}$/)
    for (let i = 0; i < 6; i++) {
      assert.equal((await ask({ model: 'cookies', headers: { cookie }, to: replica })).endpoint, first.endpoint)
    }
  })

  test('go on elsewhere when their endpoint is gone, and stay there', async () => {
    const request = { headers: { 'x-conversation': 'homeless' } }
    const { endpoint } = await ask(request)
    const home = fleet.sims.find(({ url }) => url.endsWith(`:${endpoint?.split(':')[1]}`))
    await home?.close()
    const next = await ask(request)
    assert.notEqual(next.endpoint, endpoint)
    for (let i = 0; i < 6; i++) assert.equal((await ask(request)).endpoint, next.endpoint)
  })
})
