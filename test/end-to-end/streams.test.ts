import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { lastArrival, modelOn, quick, startFleet } from './support/fleet.ts'
import { chunksOf, splitEvents } from './support/sse.ts'
import { runMany, waitFor } from './support/wait.ts'

const sim = { ...quick, tpotMs: 2, maxNumSeqs: 512, seed: 1 }
const fleet = await startFleet({
  sims: [sim, sim],
  config: (sims) => ({
    models: { tiny: modelOn(sims), plain: modelOn(sims.slice(0, 1), { servedModel: 'tiny', injectUsage: false }) },
  }),
})
after(() => fleet.close())

async function post(body: string, id = ''): Promise<string> {
  const response = await fetch(`${fleet.gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(id === '' ? {} : { 'x-request-id': id }) },
    body,
  })
  const text = await response.text()
  assert.equal(response.status, 200, text)
  return text
}

const streams = 1000
const atOnce = 200
const prompts = 10

test(`${streams} streams, ${atOnce} at a time, lose no event, and the log knows the tokens of each`, async () => {
  const bodyOf = (i: number, stream: boolean): string => {
    const messages = [{ role: 'user', content: `prompt number ${i % prompts}` }]
    return JSON.stringify({ model: 'tiny', messages, max_tokens: 5 + (i % prompts), stream })
  }
  const expected = await runMany(prompts, 4, async (i) => {
    const answer = JSON.parse(await post(bodyOf(i, false))) as {
      choices: { message: { content: string } }[]
      usage: { prompt_tokens: number; completion_tokens: number }
    }
    return { text: answer.choices[0]?.message.content, usage: answer.usage }
  })
  const texts = await runMany(streams, atOnce, (i) => post(bodyOf(i, true), `stream-${i}`))
  for (const [i, text] of texts.entries()) {
    const { events, fragment } = splitEvents(text)
    assert.deepEqual([events.length, fragment, events.at(-1)?.data], [5 + (i % prompts) + 2, '', '[DONE]'])
    const pieces = chunksOf(text).map(
      (chunk) => (chunk.choices as { delta: { content?: string } }[])[0]?.delta.content ?? '',
    )
    assert.equal(pieces.join(''), expected[i % prompts]?.text)
  }
  const isLogged = (): boolean => fleet.gateway.accessLines.filter(({ stream }) => stream === true).length === streams
  await waitFor('line of every stream in the access log', isLogged)
  for (const line of fleet.gateway.accessLines.filter(({ stream }) => stream === true)) {
    const usage = expected[Number(String(line.request_id).slice('stream-'.length)) % prompts]?.usage
    assert.deepEqual([line.input_tokens, line.output_tokens], [usage?.prompt_tokens, usage?.completion_tokens])
    assert.equal(line.attempts, 1)
  }
})

test('the metrics count the same tokens as the engines do, spread over both', async () => {
  const page = await fleet.gateway.metrics()
  const stats = fleet.sims.map((each) => each.stats())
  const sum = (pick: (each: (typeof stats)[number]) => number): number =>
    stats.reduce((total, each) => total + pick(each), 0)
  const tokens = (type: string): number => page.sum('infer_gateway_tokens_total', { type })
  assert.deepEqual(
    [tokens('input'), tokens('output'), tokens('cached')],
    [sum((each) => each.promptTokens), sum((each) => each.outputTokens), sum((each) => each.cachedTokens)],
  )
  assert.equal(page.sum('infer_gateway_requests_total', { status: '200' }), streams + prompts)
  assert.equal(page.sum('gen_ai_server_time_to_first_token_seconds_count'), streams)
  assert.equal(page.sum('infer_gateway_upstream_retries_total'), 0)
  for (const { finished } of stats)
    assert.ok(finished > streams / 4, `${stats.map((each) => each.finished).join(' and ')} requests`)
})

const before = '{"model":"tiny","messages":[{"role":"user","content":"x"}],"max_tokens":3,"stream":true'
const asked = '"include_usage":true'

/** What the client writes, what the engine gets, and whether the client sees the usage chunk. */
const variants = [
  { title: 'absent', sent: '}', arrives: `,"stream_options":{${asked}}}`, seen: false },
  {
    title: 'absent, with white space behind',
    sent: '\n}\r\n ',
    arrives: `\n,"stream_options":{${asked}}}\r\n `,
    seen: false,
  },
  { title: 'empty', sent: ',"stream_options":{ }}', arrives: `,"stream_options":{${asked} }}`, seen: false },
  { title: 'null', sent: ',"stream_options":null}', arrives: `,"stream_options":{${asked}}}`, seen: false },
  {
    title: 'no',
    sent: ',"stream_options": {"include_usage" : false, "x":[1]} }',
    arrives: ',"stream_options": {"include_usage" : true, "x":[1]} }',
    seen: false,
  },
  {
    title: 'about something else',
    sent: ',"stream_options":{"include_obfuscation":false}}',
    arrives: `,"stream_options":{${asked},"include_obfuscation":false}}`,
    seen: false,
  },
  {
    title: 'yes',
    sent: ',"stream_options":{"include_usage":true,"x":1}}',
    arrives: ',"stream_options":{"include_usage":true,"x":1}}',
    seen: true,
  },
]

for (const { title, sent, arrives, seen } of variants) {
  test(`stream_options that are ${title}: the log gets usage, the client ${seen ? 'too' : 'does not'}`, async () => {
    const id = `options-${title.replaceAll(/\W+/g, '-')}`
    const text = await post(before + sent, id)
    assert.ok(splitEvents(text).events.at(-1)?.data === '[DONE]')
    assert.equal(
      chunksOf(text).some(({ usage }) => usage !== undefined && usage !== null),
      seen,
    )
    assert.ok(chunksOf(text).every(({ choices }) => seen || (choices as unknown[]).length > 0))
    const bodies = await Promise.all(fleet.sims.map((each) => lastArrival(each).catch(() => undefined)))
    const body = bodies.find((arrival) => arrival?.headers['x-request-id'] === id)?.body.toString()
    assert.equal(body, before + arrives)
    assert.equal((await fleet.gateway.accessLine(id)).output_tokens, 3)
  })
}

test('a model that injects nothing leaves the stream alone', async () => {
  const text = await post(before.replace('tiny', 'plain') + '}', 'injects-nothing')
  assert.ok(chunksOf(text).every(({ model, usage }) => model === 'plain' && usage === undefined))
  assert.equal((await lastArrival(fleet.sim)).body.toString(), `${before}}`)
  assert.equal((await fleet.gateway.accessLine('injects-nothing')).output_tokens, undefined)
})
