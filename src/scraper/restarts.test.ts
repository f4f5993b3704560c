import assert from 'node:assert/strict'
import { test } from 'node:test'
import { health } from '#core/endpoint.ts'
import { type Engine, endpoint, ok, onlyPage, page, setUp, snapshotOf } from './scraper-case.ts'

test('tells that an engine was started anew, though no scrape has missed it', () => {
  const counted = (tokens: number): Engine => onlyPage(`${page}vllm:prompt_tokens_total ${tokens}\n`)
  const { clock, restarted, state, events, scraper } = setUp(counted(1000))
  scraper.apply(snapshotOf([endpoint(0), endpoint(1, { port: 8000 })]))
  clock.advance(1000)
  assert.deepEqual(restarted, [0, 1], 'nothing is known of caches at first')
  state.engine = counted(5)
  clock.advance(300)
  assert.deepEqual(restarted, [0, 1, 0, 1])
  clock.advance(5000)
  assert.equal(restarted.length, 4)
  assert.ok(!events.includes('health 2'))
})

test('an engine that was away is taken for a new one, unless its page tells that it is not', () => {
  for (const [more, isSame] of [
    ['', false],
    ['vllm:prompt_tokens_total 1000\n', true],
    ['process_start_time_seconds 1.7e+09\n', true],
  ] as const) {
    const { clock, table, restarted, state, scraper } = setUp(onlyPage(page + more))
    scraper.apply(snapshotOf([endpoint(0)]))
    clock.advance(1000)
    state.engine = () => 'refused'
    clock.advance(1000)
    assert.equal(table.health[0], health.unready)
    state.engine = onlyPage(page + more)
    clock.advance(6000)
    assert.equal(table.health[0], health.ready)
    assert.deepEqual(restarted, isSame ? [0] : [0, 0], more)
  }
})

test('an engine without a page that was away is taken for a new one', () => {
  const { clock, restarted, state, scraper } = setUp(() => ok(''))
  scraper.apply(snapshotOf([endpoint(0, { engine: 'ollama', scrape: undefined })]))
  clock.advance(1500)
  state.engine = () => 'refused'
  clock.advance(2000)
  state.engine = () => ok('')
  clock.advance(2000)
  assert.deepEqual(restarted, [0, 0])
})

test('an engine that unloads one of its models keeps the caches of the others: once they were forgotten', () => {
  const served = (counts: Readonly<Record<string, number>>): Engine =>
    onlyPage(
      Object.entries(counts)
        .map(([model, count]) => `nv_inference_request_success{model="${model}",version="1"} ${count}\n`)
        .join('') + 'nv_inference_pending_request_count{model="b",version="1"} 0\n',
    )
  const { clock, restarted, state, scraper } = setUp(served({ a: 1000, b: 50 }))
  scraper.apply(snapshotOf([endpoint(0, { engine: 'triton' })]))
  clock.advance(1000)
  assert.deepEqual(restarted, [0])
  state.engine = served({ b: 51 })
  clock.advance(1000)
  assert.deepEqual(restarted, [0])
  state.engine = served({ b: 2 })
  clock.advance(1000)
  assert.deepEqual(restarted, [0, 0], 'and that it was started anew is still told')
})
