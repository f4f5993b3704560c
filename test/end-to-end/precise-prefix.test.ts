import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SimOptions } from '#sim/options.ts'
import type { Sim } from '#sim/server.ts'
import { quick, withFleet } from './support/fleet.ts'
import { freePorts } from './support/ports.ts'
import { type Foretold, PreciseFleet } from './support/precise-fleet.ts'
import { waitFor } from './support/wait.ts'

const system = 'You answer in one short sentence and never apologise, whatever it is that you are asked for. '.repeat(
  12,
)

function chat(...turns: readonly string[]): Readonly<Record<string, unknown>> {
  return {
    messages: turns.map((content, i) => ({ role: i === 0 ? 'system' : i % 2 === 1 ? 'user' : 'assistant', content })),
  }
}

async function withPrecise(options: readonly SimOptions[], use: (fleet: PreciseFleet) => Promise<void>): Promise<void> {
  const fleet = await PreciseFleet.start(options)
  try {
    await use(fleet)
  } finally {
    await fleet.close()
  }
}

function assertExact({ foretold, cached }: Foretold, what: string): void {
  assert.equal(foretold, cached, what)
}

test('what an engine will find of a prompt that is known is foretold exactly', () =>
  withPrecise([{}, {}], async (fleet) => {
    const first = chat(system, 'What is a gateway?')
    await fleet.complete(0, first)
    for (const [slot, hits] of [
      [0, true],
      [1, false],
      [1, true],
      [0, true],
    ] as const) {
      const seen = await fleet.complete(slot, first)
      assertExact(seen, `engine ${slot}`)
      assert.equal(seen.cached > 0, hits)
      assert.equal(seen.cached % 16, 0)
    }
    // Two prompts that part where the third does tell how many tokens they have in common.
    await fleet.complete(0, chat(system, 'Why are there blocks of tokens?'))
    const third = await fleet.complete(0, chat(system, 'How long is a piece of string?'))
    assertExact(third, 'a prompt that was never seen')
    assert.ok(third.cached > 200)
    const elsewhere = await fleet.complete(1, chat(system, 'Where is the next block?'))
    assertExact(elsewhere, 'another one at the other engine')
  }))

test('adapters and salts have caches of their own', () =>
  withPrecise([{ adapters: ['sql', 'law'] }], async (fleet) => {
    const calls = [
      {},
      { model: 'sql' },
      { model: 'sql' },
      { model: 'law' },
      { cache_salt: 'a' },
      { cache_salt: 'a' },
      { cache_salt: 'b' },
      { model: 'sql', cache_salt: 'a' },
      { model: 'sql', cache_salt: 'a' },
      {},
    ]
    const seen: Foretold[] = []
    for (const call of calls) seen.push(await fleet.complete(0, { ...chat(system, 'And now?'), ...call }))
    seen.forEach((each, i) => assertExact(each, `call ${i}`))
    assert.deepEqual(
      seen.map(({ cached }) => cached > 0),
      [false, false, true, false, false, true, false, false, true, true],
    )
  }))

test('what has given way is known to be gone, and the shares of hits agree', () =>
  withPrecise([{ kvBlocks: 48 }, { kvBlocks: 48 }], async (fleet) => {
    const seen: Foretold[] = []
    for (let i = 0; i < 60; i++) {
      const group = [0, 0, 1, 0, 2, 3, 0, 1, 4][i % 9]
      seen.push(await fleet.complete(i % 2, { prompt: `${group} ${system} question ${i % 7}`, max_tokens: 20 }))
    }
    const known = seen.slice(20)
    const exact = known.filter(({ foretold, cached }) => foretold === cached).length
    assert.ok(exact >= 0.9 * known.length, `${exact} of ${known.length}`)
    const ratio = (which: 'foretold' | 'cached'): number =>
      known.reduce((sum, each) => sum + each[which] / each.prompt, 0) / known.length
    assert.ok(Math.abs(ratio('foretold') - ratio('cached')) < 0.05, `${ratio('foretold')} ${ratio('cached')}`)
    assert.ok(ratio('cached') > 0.1 && ratio('cached') < 0.9, `${ratio('cached')}`)
  }))

test('an engine that is restarted has an empty cache, and that is known', () =>
  withPrecise([{}, {}], async (fleet) => {
    const call = chat(system, 'What is left?')
    for (let i = 0; i < 2; i++) for (const slot of [0, 1]) await fleet.complete(slot, call)
    await fleet.restart(0)
    const [again, other] = [await fleet.complete(0, call), await fleet.complete(1, call)]
    assertExact(again, 'after the restart')
    assert.equal(again.cached, 0)
    assertExact(other, 'the other engine')
    assertExact(await fleet.complete(0, call), 'filled again')
  }))

for (const encoding of ['vllm', 'vllm-array', 'sglang'] as const) {
  test(`lost messages are fetched: ${encoding}`, () =>
    withPrecise([{ kvEvents: { encoding, lose: [0, 2, 3, 6, 9, 10] } }], async (fleet) => {
      for (let i = 0; i < 12; i++) {
        const call = chat(system, `Question ${i % 4}?`)
        const seen = await fleet.complete(0, call)
        if (i >= 4) assertExact(seen, `call ${i}`)
      }
      const [status] = fleet.loop.status()
      assert.ok((status?.gaps ?? 0) > 0 || (status?.replays ?? 0) > 1)
      assert.equal(status?.state, 'live')
    }))
}

test('a gateway places prompts by the events of its engines, and says how they stand', async () => {
  const ports = [await freePorts.take(), await freePorts.take(), await freePorts.take(), await freePorts.take()]
  const kvEvents = [0, 1].map((i) => ({ port: ports[2 * i] ?? 0, replayPort: ports[2 * i + 1] ?? 0 }))
  const sims = kvEvents.map((events) => ({ ...quick, kvEvents: events }))
  const config = (running: readonly Sim[]) => ({
    models: {
      tiny: {
        engine: 'vllm',
        endpoints: running.map(({ url }, i) => ({ url, kvEvents: kvEvents[i] })),
      },
    },
  })
  await withFleet({ sims, config }, async ({ gateway, sims: engines }) => {
    const states = async () => (await gateway.status()).endpoints.map((each) => each.kvEvents?.state)
    await waitFor('live events', async () => (await states()).every((state) => state === 'live'))
    // The gateway has sent nothing yet: only events can tell it where the prompt is.
    const [, second] = engines
    const call = { model: 'tiny', max_tokens: 2, ...chat(system, 'What is known of this?') }
    const post = (url: string) =>
      fetch(`${url}/v1/chat/completions`, {
        method: 'POST',
        body: JSON.stringify(call),
        headers: { 'content-type': 'application/json' },
      })
    assert.ok(second !== undefined)
    await (await post(second.url)).json()
    const known = async () => (await gateway.status()).endpoints[1]?.kvEvents?.blocks ?? 0
    await waitFor('blocks', async () => (await known()) > 10)
    await (await post(gateway.url)).json()
    const learned = async () =>
      (await gateway.metrics()).sum('infer_gateway_prompt_tokenizations_total', { result: 'learned' })
    await waitFor('learned tokens', async () => (await learned()) === 1)
    await (await post(second.url)).json()
    for (let i = 0; i < 6; i++) {
      const answer = (await (await post(gateway.url)).json()) as {
        usage: { prompt_tokens_details?: { cached_tokens: number } }
      }
      assert.ok((answer.usage.prompt_tokens_details?.cached_tokens ?? 0) > 200, `call ${i}`)
    }
    await engines[0]?.close()
    await waitFor('broken events', async () => (await states())[0] === 'broken')
    assert.equal((await states())[1], 'live')
  })
})
