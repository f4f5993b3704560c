import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { type Rng, seededRng } from '#core/clock.ts'
import { type ApiCall, apiCalls, formBody, formType } from './support/api-calls.ts'
import { type Arrival, arrivalsAt, modelOn, quick, startFleet } from './support/fleet.ts'
import { postBytes, RawClient, type RawResponse } from './support/raw-client.ts'

const instant = { ...quick, ttftMs: 0, tpotMs: 0 }
const fleet = await startFleet({
  sims: [
    { ...instant, engine: 'vllm' },
    { ...instant, engine: 'sglang' },
  ],
  config: ([vllm, sglang]) => ({
    models: {
      tiny: modelOn(vllm ? [vllm] : []),
      'renamed "\u00fc"': modelOn(vllm ? [vllm] : [], { servedModel: 'tiny' }),
      'tiny-sglang': modelOn(sglang ? [sglang] : []),
      'renamed-sglang': modelOn(sglang ? [sglang] : [], { servedModel: 'tiny-sglang' }),
    },
  }),
})
after(() => fleet.close())

/** Ways to write the same call; `model` is a JSON string, `fields` are members of the body. */
const writings: Readonly<Record<string, (model: string, fields: string) => string>> = {
  plain: (model, fields) => `{"model":${model},${fields}}`,
  'odd white space': (model, fields) => `\r\n\t {\r\n "model"\t:\r\n  ${model} ,\n\r${fields}\t}\r\n \t`,
  'unknown fields': (model, fields) =>
    `{"big":123456789012345678901234567890,"negative":-0.0,"huge":1E400,"nested":{"model":"decoy","stream":true,` +
    `"list":[{"model":"x"},[],{}]},"model":${model},"text":"\\u0000\\ud800 \\/ \\"model\\":\\"no\\" \u2028",${fields},"":null}`,
  'keys twice': (model, fields) => `{"model":${model},"x":1,${fields},"x":2,"model":${model}}`,
  'escaped key': (model, fields) => `{${fields},"\\u006d\\u006Fdel":${model}}`,
}

/** JSON spellings of one name. */
function spellings(name: string): readonly [string, string] {
  const escaped = Array.from(name, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')
  return [JSON.stringify(name), `"${escaped}"`]
}

interface Sent {
  readonly title: string
  readonly call: ApiCall
  readonly body: Buffer
  /** What must arrive. */
  readonly expected: Buffer
}

/** Every writing of a call for a model; `upstream` is the name that the engine is to see. */
function bodiesOf(call: ApiCall, name: string, upstream: string): Sent[] {
  const { fields, file } = call
  if (fields === undefined) {
    const form = (model: string): Buffer => formBody(file ?? 'file', model)
    return [{ title: 'form', call, body: form(name), expected: form(upstream) }]
  }
  return Object.entries(writings).flatMap(([title, write]) =>
    spellings(name).map((spelling) => {
      const expected = name === upstream ? spelling : JSON.stringify(upstream)
      return { title, call, body: Buffer.from(write(spelling, fields)), expected: Buffer.from(write(expected, fields)) }
    }),
  )
}

interface Round extends Sent {
  readonly response: RawResponse
  readonly arrival: Arrival
}

/** Sends all bodies over connections of their own, in random splits, every other one chunked. */
async function sendAll(sent: readonly Sent[], rng: Rng, query: string): Promise<Round[]> {
  const ids = sent.map((_, index) => `fidelity-${Math.floor(rng() * 1e9)}-${index}`)
  const responses = await Promise.all(
    sent.map(async ({ call, body }, index) => {
      const client = await RawClient.connect(fleet.gateway.port)
      const chunks = index % 2 === 0 ? undefined : [1 + Math.floor(rng() * 7), 1 + Math.floor(rng() * 300)]
      const bytes = postBytes(call.path + query, body, {
        headers: [`x-request-id: ${ids[index]}`],
        ...(chunks === undefined ? {} : { chunks }),
        ...(call.file === undefined ? {} : { type: formType }),
      })
      await client.writeSplit(bytes, rng)
      const response = await client.response()
      client.close()
      return response
    }),
  )
  const arrivals = (await Promise.all(fleet.sims.map(arrivalsAt))).flat()
  return sent.map((one, index) => {
    const response = responses[index]
    const arrival = arrivals.findLast(({ headers }) => headers['x-request-id'] === ids[index])
    assert.ok(response && arrival, `${one.call.path}, ${one.title}: ${response?.status} ${response?.body.toString()}`)
    return { ...one, response, arrival }
  })
}

function checkRound({ title, call, expected, response, arrival }: Round): void {
  const what = `${call.path}, ${title}`
  assert.equal(response.status, 200, `${what}: ${response.body.toString()}`)
  assert.equal(arrival.body.toString('latin1'), expected.toString('latin1'), what)
  assert.equal(arrival.headers['content-length'], String(expected.length), what)
  assert.equal(arrival.headers['transfer-encoding'], undefined, what)
}

for (const [index, call] of apiCalls.entries()) {
  const suffix = call.engine === 'sglang' ? '-sglang' : ''
  test(`${call.path} reaches the engine byte for byte`, async () => {
    const name = `tiny${suffix}`
    for (const [seed, query] of ['', '?api-version=1&x=%2F%20y'].entries()) {
      const rounds = await sendAll(bodiesOf(call, name, name), seededRng(100 * seed + index), query)
      for (const round of rounds) {
        checkRound(round)
        assert.equal(round.arrival.target, call.path + query)
      }
    }
  })

  test(`${call.path} with a renamed model differs in the name only, and answers with the name of the client`, async () => {
    const name = call.engine === 'sglang' ? 'renamed-sglang' : 'renamed "\u00fc"'
    // A form field holds the bytes of the name as they are.
    const rounds = await sendAll(bodiesOf(call, name, `tiny${suffix}`), seededRng(1000 + index), '')
    for (const round of rounds) {
      checkRound(round)
      const type = round.response.headers.find(([header]) => header === 'content-type')?.[1] ?? ''
      if (!type.startsWith('application/json')) continue
      const { model } = JSON.parse(round.response.body.toString()) as { model?: string }
      if (model !== undefined) assert.equal(model, name, call.path)
    }
  })
}
