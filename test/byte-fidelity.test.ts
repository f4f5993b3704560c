/** From the client's body to the engine's: parse, then splice. What the gateway does not own stays byte for byte. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { Exchange } from '#contracts/exchange.ts'
import { isRefusal } from '#core/refusal.ts'
import type { InferenceRequest } from '#core/request.ts'
import { apis } from '#dialect/apis.ts'
import { parseHead, RequestParser } from '#parse/parse-request.ts'
import { upstreamBody } from '#proxy/upstream-request.ts'

const parser = new RequestParser()

function requestOf(target: string, slices: readonly Buffer[], headers: readonly string[] = []): InferenceRequest {
  const head = { method: 'POST', target, headers }
  const api = parseHead(head)
  assert.ok(!isRefusal(api))
  const bytes = slices.reduce((sum, { length }) => sum + length, 0)
  const request = parser.parse({ head, body: { slices, bytes } } as Exchange, api, 'id')
  assert.ok(!isRefusal(request), JSON.stringify(request))
  return request
}

function cutAt(data: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [0, ...cuts.map((cut) => cut % (data.length + 1)).toSorted((a, b) => a - b), data.length]
  return at.slice(1).map((end, i) => data.subarray(at[i], end))
}

const joined = (body: { readonly slices: readonly Buffer[] }): string => Buffer.concat(body.slices).toString('latin1')

/** A body that no serializer would print: every byte of it must arrive. */
const odd =
  ' {\t"unknown" : 12345678901234567890123, "big":1E400,"e":-0.0e-0,\r\n"u":"\\u00e4\\ud83d\\ude00\\/ä😀","dup":1,"dup":2,' +
  '"model":"first","nested":{"model":"x","stream_options":{"include_usage":false}},"text":"\\"model\\":\\"x\\"",' +
  '"stream":true,"stream_options":{ "x" : [1 , 2] },"mod\\u0065l" : "m\\u002d1" ,"":null,"__proto__":{},"input":"i","prompt":"p"}\n\n '

const json = apis.filter(({ form }) => form === 'json').flatMap(({ paths }) => paths)
const multipart = apis.filter(({ form }) => form === 'multipart').flatMap(({ paths }) => paths)

describe('a body reaches the engine byte for byte', () => {
  const data = Buffer.from(odd)
  for (const path of json) {
    test(path, () => {
      for (const target of [path, `${path}?api-version=1`]) {
        const request = requestOf(target, cutAt(data, [7, 30, 200]))
        assert.equal(request.model, 'm-1')
        assert.equal(upstreamBody(request, undefined, false).slices, request.body.slices)
        const renamed = joined(upstreamBody(request, 'served', false))
        assert.equal(renamed, data.toString('latin1').replace('"first"', '"served"').replace('"m\\u002d1"', '"served"'))
      }
    })
  }

  const file = 'RIFF\0\r\n--\xff\r\n--boundar\r\n"model"'
  const form = Buffer.from(
    `--boundary\r\ncontent-disposition: form-data; name="file"; filename="model"\r\ncontent-type: audio/wav\r\n\r\n${file}\r\n` +
      '--boundary\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper\r\n--boundary--\r\n',
    'latin1',
  )
  for (const path of multipart) {
    test(path, () => {
      const request = requestOf(path, cutAt(form, [3, 80, 150]), [
        'content-type',
        'multipart/form-data; boundary=boundary',
      ])
      assert.equal(request.model, 'whisper')
      assert.equal(upstreamBody(request, undefined, true).slices, request.body.slices)
      const renamed = joined(upstreamBody(request, 'served', true))
      assert.equal(renamed, form.toString('latin1').replace('\r\n\r\nwhisper\r\n', '\r\n\r\nserved\r\n'))
    })
  }
})

/** Members of a request in any order, with repeats and look-alikes, as they are written. */
const blank = fc.constantFrom('', ' ', '\n', '\t ')
const options = [
  ['null', '{}', '{ }', '{"include_usage":false}', '{"include_usage":true}', '{"include_usage" :null ,"x":1}'],
  ['{"x":{"include_usage":true}}', '{"include_usage":true,"include_usage":false}', '{"continuous_usage_stats":false}'],
].flat()
const option = fc.constantFrom(...options)
const member = fc.oneof(
  fc.constantFrom('"model":"a"', '"model" : "\\u0062"', '"mod\\u0065l":"c"'),
  option.map((value) => `"stream_options":${value}`),
  fc.constantFrom(
    '"x":{"model":"n","stream_options":{}}',
    '"t":"\\"stream_options\\":{}}"',
    '"n":[1,{"model":2}]',
    '"stream":true',
  ),
)
const body = fc
  .tuple(fc.array(fc.tuple(member, blank), { maxLength: 6 }), blank, blank)
  .map(([members, before, after]) => {
    const all = [...members.map(([text, space]) => `${space}${text}${space}`), '"model":"m"', '"stream":true']
    return `${before}{${all.join(',')}${after}}${after}`
  })

type Members = Record<string, unknown>

/** What the engine must read: the client's members with the model renamed and usage asked for. */
function expectedOf(text: string, usageInjected: boolean): Members {
  const members = JSON.parse(text) as Members
  members['model'] = 'served'
  if (usageInjected)
    members['stream_options'] = { ...(members['stream_options'] as Members | null), include_usage: true }
  return members
}

test('property: an engine reads the served model and the usage option, and everything else as the client wrote it', () => {
  let injected = 0
  fc.assert(
    fc.property(body, fc.array(fc.nat(), { maxLength: 6 }), (text, cuts) => {
      const data = Buffer.from(text)
      const request = requestOf('/v1/chat/completions', cutAt(data, cuts))
      const asked =
        (JSON.parse(text) as { stream_options?: { include_usage?: boolean } }).stream_options?.include_usage === true
      const upstream = upstreamBody(request, 'served', true)
      assert.equal(upstream.usageInjected, !asked)
      if (!asked) injected++
      const sent = joined(upstream)
      assert.equal(upstream.bytes, sent.length)
      assert.deepEqual(JSON.parse(sent), expectedOf(text, !asked))
      // Without what the gateway wrote, the rest is what the client wrote.
      const strip = (value: string): string =>
        value
          .replaceAll(/"(?:served|a|\\u0062|c|m)"/g, '""')
          .replace(/,"stream_options":\{"include_usage":true\}(?=\s*\}\s*$)/, '')
          .replaceAll(/"include_usage"\s*:\s*(?:true|false|null)\s*,?/g, '')
          .replaceAll(/"stream_options":(?:null|\{\s*\})/g, '"stream_options":')
      assert.equal(strip(sent).replaceAll(/\s/g, ''), strip(text).replaceAll(/\s/g, ''))
    }),
    { seed: 101, numRuns: 2000 },
  )
  assert.ok(injected > 500)
})
