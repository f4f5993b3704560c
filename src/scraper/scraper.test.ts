import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { health } from '#core/endpoint.ts'
import { resetSlot } from '#datastore/endpoint-table.ts'
import type { GetTarget } from './get-port.ts'
import {
  type Asked,
  adapterNames,
  endpoint,
  ok,
  onlyPage,
  page,
  scrapePlan,
  setUp,
  snapshotOf,
} from './scraper-case.ts'

test('writes what a page says, when it came, and that the endpoint is ready', () => {
  const { clock, table, scraper } = setUp(onlyPage(page))
  scraper.apply(snapshotOf([endpoint(0)]))
  assert.equal(scraper.isFirstRoundDone(), false)
  clock.advance(300)
  assert.equal(scraper.isFirstRoundDone(), true)
  assert.deepEqual([table.running[0], table.waiting[0], table.kvUse[0]], [3, 1, 0.5])
  assert.equal(table.blockSize[0], Number.NaN)
  assert.equal(table.health[0], health.ready)
  assert.ok((table.reportedAtMs[0] as number) > 1000)
  const [status] = scraper.status()
  assert.deepEqual(status, {
    endpointId: '10.0.0.1:8000',
    modelServer: 'default/m',
    ageMs: 1300 - (table.reportedAtMs[0] as number),
    ok: true,
    error: undefined,
    failures: 0,
    pageBytes: page.length,
    narrowed: false,
    durationMs: 5,
    adapters: [],
    maxModelLen: undefined,
  })
  scraper.close()
  assert.equal(clock.pending(), 0)
})

test('asks each endpoint once per interval, one at a time, spread over the interval', () => {
  const { clock, asked, state, scraper } = setUp(onlyPage(page), 1)
  scraper.apply(snapshotOf(Array.from({ length: 8 }, (_, slot) => endpoint(slot))))
  clock.advance(10_000)
  for (let slot = 0; slot < 8; slot++) {
    const pages = asked.filter((one) => one.port === 8000 + slot && one.path === '/metrics')
    assert.ok(pages.length >= 49 && pages.length <= 51, `${pages.length}`)
  }
  const startsPerTick = new Map<number, number>()
  for (const { atMs, path } of asked) {
    if (atMs > 5000 && path === '/metrics') startsPerTick.set(atMs, (startsPerTick.get(atMs) ?? 0) + 1)
  }
  assert.ok(Math.max(...startsPerTick.values()) <= 3, 'phases stay apart')
  assert.ok(state.mostPerClient <= 8)
  scraper.close()
})

test('lets values decay to unknown, not to zero, when pages stop coming', () => {
  const { clock, table, state, scraper } = setUp(onlyPage(page))
  scraper.apply(snapshotOf([endpoint(0)]))
  clock.advance(1000)
  state.engine = () => 'hang'
  clock.advance(1500)
  assert.equal(table.running[0], 3)
  clock.advance(1000)
  assert.deepEqual([table.running[0], table.waiting[0], table.kvUse[0]], [Number.NaN, Number.NaN, Number.NaN])
  assert.ok((scraper.status()[0]?.ageMs as number) > 2000)
  assert.equal(scraper.status()[0]?.error, 'aborted: timeout')
  state.engine = onlyPage(page)
  clock.advance(7000)
  assert.equal(table.running[0], 3)
  scraper.close()
})

test('backs off up to five seconds from an endpoint that fails, and marks it unready when nothing listens', () => {
  const { clock, table, asked, state, events, scraper } = setUp(onlyPage(page))
  scraper.apply(snapshotOf([endpoint(0)]))
  clock.advance(500)
  asked.length = 0
  state.engine = () => 'refused'
  clock.advance(60_000)
  assert.equal(table.health[0], health.unready)
  const pages = asked.filter((one) => one.path === '/metrics')
  assert.ok(pages.length >= 14 && pages.length <= 22, `${pages.length}`)
  const gaps = pages.slice(1).map((one, i) => one.atMs - (pages[i] as Asked).atMs)
  assert.ok(Math.max(...gaps) <= 5100, gaps.join())
  assert.ok((gaps[0] as number) < 600)
  state.engine = onlyPage(page)
  state.engine = (path) => (path === '/health' ? ok('') : onlyPage(page)(path, {} as GetTarget))
  clock.advance(1500)
  assert.equal(table.health[0], health.ready, 'the probe of the health path notices it within its second')
  assert.equal(table.running[0], 3)
  assert.equal(events.filter((event) => event === 'health 2').length, 1)
  scraper.close()
})

test('an endpoint that returns from being unready starts slowly, and its ejection gives way to a probe', () => {
  const { clock, table, state, scraper } = setUp(onlyPage(page))
  scraper.apply(snapshotOf([endpoint(0), endpoint(1)]))
  clock.advance(1000)
  assert.deepEqual(
    [table.health[0], table.returnedAtMs[0]],
    [health.ready, 0],
    'not one that is seen for the first time',
  )
  state.engine = () => 'refused'
  clock.advance(1000)
  assert.equal(table.health[0], health.unready)
  table.ejected[1] = 1
  table.ejectedUntilMs[1] = 1e9
  state.engine = (path) => (path === '/health' ? ok('') : onlyPage(page)(path, {} as GetTarget))
  const fromMs = clock.nowMs()
  clock.advance(5000)
  assert.equal(table.health[0], health.ready)
  assert.ok((table.returnedAtMs[0] ?? 0) > fromMs, String(table.returnedAtMs[0]))
  assert.equal(table.returnedAtMs[1], 0)
  assert.ok((table.ejectedUntilMs[1] ?? 0) < clock.nowMs())
  scraper.close()
})

const withoutPage = [
  { name: 'is not found', page: { status: 404, body: '' }, answer: ok(''), expected: health.ready },
  { name: 'has no known metric', page: ok('<html></html>'), answer: ok(''), expected: health.ready },
  { name: 'needs a credential', page: { status: 401, body: '' }, answer: ok(''), expected: health.ready },
  { name: 'breaks the protocol', page: 'protocol', answer: ok(''), expected: health.ready },
  { name: 'hangs', page: 'hang', answer: ok(''), expected: health.ready },
  {
    name: 'and the health path are not found',
    page: { status: 404, body: '' },
    answer: { status: 404, body: '' },
    expected: health.unknown,
  },
  {
    name: 'and the health path answer 503',
    page: { status: 503, body: '' },
    answer: { status: 503, body: '' },
    expected: health.unready,
  },
  { name: 'and the health path hang', page: 'hang', answer: 'hang', expected: health.unready },
] as const

for (const { name, page: reply, answer, expected } of withoutPage) {
  test(`judges an endpoint by its health path when the page ${name}`, () => {
    const { clock, table, scraper } = setUp((path) =>
      path === '/health' ? answer : path === '/metrics' ? reply : 'reset',
    )
    scraper.apply(snapshotOf([endpoint(0)]))
    clock.advance(20_000)
    assert.equal(table.health[0], expected)
    assert.equal(table.running[0], Number.NaN)
    const [status] = scraper.status()
    assert.equal(status?.ok, false)
    assert.ok(status !== undefined && status.failures > 2)
    scraper.close()
  })
}

test('probes the health of an engine without a page every second', () => {
  const { clock, table, asked, scraper } = setUp((path) =>
    path === '/api/version' ? ok('{"version":"0.9"}') : 'reset',
  )
  scraper.apply(snapshotOf([endpoint(0, { engine: 'ollama', scrape: undefined })]))
  clock.advance(10_000)
  assert.equal(table.health[0], health.ready)
  assert.deepEqual(new Set(asked.map((one) => one.path)), new Set(['/api/version']))
  assert.ok(asked.length >= 8 && asked.length <= 12, `${asked.length}`)
  assert.deepEqual([scraper.status()[0]?.ok, scraper.status()[0]?.ageMs], [true, undefined])
  scraper.close()
})

test('leaves alone what nothing is known of', () => {
  const { clock, table, asked, scraper } = setUp(() => 'refused')
  scraper.apply(snapshotOf([endpoint(0, { engine: 'openai', scrape: undefined })]))
  clock.advance(10_000)
  assert.equal(asked.length, 0)
  assert.equal(table.health[0], health.unknown)
  assert.equal(scraper.isFirstRoundDone(), true)
  scraper.close()
})

test('does not take a metrics port that is closed for the engine', () => {
  const { clock, table, scraper } = setUp((path, { port }) =>
    port === 8002 ? 'refused' : path === '/v2/health/ready' ? ok('') : 'reset',
  )
  scraper.apply(snapshotOf([endpoint(0, { engine: 'triton', scrape: { ...scrapePlan, port: 8002 } })]))
  clock.advance(5000)
  assert.equal(table.health[0], health.ready)
  scraper.close()
})

test('sends the credential of the engine to the engine only, over its own transport', () => {
  const targets: GetTarget[] = []
  const { clock, scraper } = setUp((_, target) => {
    targets.push(target)
    return 'reset'
  })
  const setHeaders = [{ name: 'authorization', value: 'Bearer k' }]
  const tls = { ca: undefined, serverName: undefined, certificate: undefined, insecureSkipVerify: false }
  scraper.apply(snapshotOf([endpoint(0), endpoint(1, { scrape: { ...scrapePlan, port: 9000 } })], { setHeaders, tls }))
  clock.advance(1000)
  for (const target of targets) {
    const isOwn = target.port === 9000
    assert.deepEqual([target.headers, target.tls], isOwn ? [[], undefined] : [setHeaders, tls])
  }
  assert.ok(targets.some((target) => target.port === 9000) && targets.some((target) => target.port === 8000))
  scraper.close()
})

test('reads one page for all ranks behind an address', () => {
  const dp2 = readFileSync(new URL('./fixtures/vllm-0.32.0-dp2.txt', import.meta.url), 'utf8')
  const { clock, table, asked, scraper } = setUp(onlyPage(dp2))
  const ranks = [0, 1].map((rank) => endpoint(rank, { id: `10.0.0.1:8000#${rank}`, port: 8000, rank }))
  scraper.apply(snapshotOf([...ranks, endpoint(2, { port: 8001 })]))
  clock.advance(1000)
  assert.deepEqual([table.running[0], table.running[1], table.running[2]], [2, 2, 4])
  assert.equal(table.kvUse[1], 0.00018311105685597795)
  const at8000 = asked.filter((one) => one.port === 8000 && one.path === '/metrics')
  assert.ok(at8000.length <= 6)
  assert.equal(scraper.status().length, 3)
  scraper.close()
})

test('knows adapters in use from the page and idle ones from the list of models', () => {
  const lora = (names: string, at: number): string =>
    `${page}vllm:lora_requests_info{max_lora="2",running_lora_adapters="${names}",waiting_lora_adapters="${names}"} ${at}\n`
  const cards = (...ids: string[]): string =>
    JSON.stringify({
      data: [{ id: 'm', parent: null, max_model_len: 4096 }, ...ids.map((id) => ({ id, parent: 'm' }))],
    })
  const { clock, table, state, scraper } = setUp((path) => ok(path === '/v1/models' ? cards('chat') : lora('sql', 1)))
  scraper.apply(snapshotOf([endpoint(0)]))
  clock.advance(1000)
  const has = (): boolean[] => adapterNames.map((_, id) => table.hasAdapter(0, id))
  assert.deepEqual(has(), [true, true, false])
  assert.deepEqual([table.maxAdapters[0], table.adapterCount[0]], [2, 1])
  assert.equal(scraper.status()[0]?.maxModelLen, 4096)
  assert.deepEqual(scraper.status()[0]?.adapters, ['sql', 'chat'])
  state.engine = (path) => ok(path === '/v1/models' ? cards('tweet', 'unknown') : lora('', 2))
  clock.advance(300)
  assert.deepEqual(has(), [false, true, false])
  clock.advance(12_000)
  assert.deepEqual(has(), [false, false, true])
  assert.equal(table.adapterCount[0], 0)
  scraper.close()
})

test('estimates the KV use of llama.cpp by its busy slots', () => {
  const body = 'llamacpp:requests_processing 1\nllamacpp:requests_deferred 0\n'
  const { clock, table, scraper } = setUp((path) => ok(path === '/props' ? '{"total_slots":4}' : body))
  scraper.apply(snapshotOf([endpoint(0, { engine: 'llamacpp' })]))
  clock.advance(1000)
  assert.equal(table.kvUse[0], 0.25)
  scraper.close()
})

const largePage = `${page}${'vllm:other_bucket{le="1"} 1\n'.repeat(1000)}`

test('asks for the wanted names only where the endpoint gives the same for less', () => {
  const { clock, table, asked, state, scraper } = setUp((path) => ok(path.startsWith('/metrics/?') ? page : largePage))
  scraper.apply(snapshotOf([endpoint(0)]))
  clock.advance(2000)
  assert.equal(scraper.status()[0]?.narrowed, true)
  assert.equal(scraper.status()[0]?.pageBytes, page.length)
  assert.equal(asked.filter((one) => one.path === '/metrics').length, 1)
  // The engine comes back as a version that does not narrow.
  state.engine = () => 'refused'
  clock.advance(1000)
  state.engine = onlyPage(largePage)
  clock.advance(6000)
  assert.equal(scraper.status()[0]?.narrowed, false)
  assert.equal(table.running[0], 3)
  scraper.close()
})

const notNarrowing = [
  { name: 'is empty', reply: ok('') },
  { name: 'misses a name', reply: ok('vllm:num_requests_running 3\n') },
  { name: 'is the whole page', reply: ok(largePage) },
  { name: 'is an error', reply: { status: 400, body: '' } },
  { name: 'is a redirection', reply: { status: 307, body: '' } },
  { name: 'breaks the connection', reply: 'reset' },
] as const

for (const { name, reply } of notNarrowing) {
  test(`stays with the full page when the narrowed one ${name}`, () => {
    const { clock, table, asked, scraper } = setUp((path) =>
      path === '/metrics' ? ok(largePage) : path.startsWith('/metrics') ? reply : ok('{}'),
    )
    scraper.apply(snapshotOf([endpoint(0)]))
    clock.advance(20_000)
    assert.equal(scraper.status()[0]?.narrowed, false)
    assert.equal(table.running[0], 3)
    assert.equal(table.health[0], health.ready)
    assert.ok(asked.filter((one) => one.path.startsWith('/metrics') && one.path !== '/metrics').length <= 3)
    scraper.close()
  })
}

test('goes back to the full page at once when a narrowed one says less than before', () => {
  const { clock, table, events, state, scraper } = setUp((path) => ok(path.startsWith('/metrics/?') ? page : largePage))
  scraper.apply(snapshotOf([endpoint(0)]))
  clock.advance(1000)
  state.engine = (path) => ok(path.startsWith('/metrics/?') ? 'vllm:num_requests_running 9\n' : largePage)
  clock.advance(1000)
  assert.deepEqual([table.running[0], table.waiting[0]], [3, 1])
  assert.equal(scraper.status()[0]?.narrowed, false)
  assert.deepEqual(
    events.filter((event) => event !== 'scraped'),
    ['health 1'],
  )
  scraper.close()
})

test('follows the snapshot: what stays goes on, what goes ends, and a slot given away is not written', () => {
  const { clock, table, asked, state, scraper } = setUp(onlyPage(page))
  scraper.apply(snapshotOf([endpoint(0), endpoint(1)]))
  clock.advance(1000)
  assert.equal(state.clients, 2)
  scraper.apply(snapshotOf([endpoint(1), endpoint(2)]))
  asked.length = 0
  clock.advance(1000)
  assert.deepEqual(new Set(asked.map((one) => one.port)), new Set([8001, 8002]))
  assert.equal(state.clients, 2)
  // The slot belongs to somebody else before the scraper has heard of it.
  resetSlot(table, 1)
  clock.advance(1000)
  assert.equal(table.running[1], Number.NaN)
  assert.equal(table.health[1], health.unknown)
  scraper.apply(snapshotOf([endpoint(1, { generation: 2 }), endpoint(2)]))
  clock.advance(1000)
  assert.equal(table.running[1], 3)
  scraper.apply(snapshotOf([]))
  asked.length = 0
  clock.advance(5000)
  assert.equal(asked.length, 0)
  assert.deepEqual([state.clients, state.underWay, clock.pending()], [0, 0, 0])
})

test('keeps the pace when the configuration is swapped all the time', () => {
  const { clock, asked, scraper } = setUp(onlyPage(page))
  for (let swap = 0; swap < 500; swap++) {
    scraper.apply(snapshotOf([endpoint(0)]))
    clock.advance(10)
  }
  const pages = asked.filter((one) => one.path === '/metrics').length
  assert.ok(pages >= 23 && pages <= 26, `${pages}`)
  scraper.close()
})

test('never answers into a scraper that is closed', () => {
  const { clock, table, state, scraper } = setUp(onlyPage(page), 500)
  scraper.apply(snapshotOf([endpoint(0)]))
  clock.advance(400)
  assert.equal(state.underWay, 1)
  scraper.close()
  clock.advance(5000)
  assert.equal(table.running[0], Number.NaN)
  assert.equal(clock.pending(), 0)
})
