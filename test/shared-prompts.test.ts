import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { Exchange } from '#contracts/exchange.ts'
import type { PluginDefinition } from '#contracts/plugin.ts'
import type { Producer } from '#contracts/schedule.ts'
import { isRefusal } from '#core/refusal.ts'
import { parseHead, RequestParser } from '#parse/parse-request.ts'
import { approxPrefixCacheProducer } from '#plugins/epp/approx-prefix-cache-producer.ts'
import { candidatesOf, pluginPorts, scheduleRequest, slotAt } from '#plugins/plugin-case.ts'
import { precisePrefix } from '#plugins/producer/precise-prefix.ts'
import { prefix } from '#plugins/producer/prefix.ts'

const blockTokens = 64
const producers: readonly PluginDefinition[] = [prefix, precisePrefix, approxPrefixCacheProducer]
const rows = [{ blockSize: 16, blockCount: 50_000 }, {}]

type Members = Readonly<Record<string, unknown>>

/** Prompts that are sent to one endpoint, one after the other. */
class Case {
  readonly #ports = pluginPorts()
  readonly #producer: Producer
  readonly #parser = new RequestParser()
  readonly #candidates = candidatesOf(rows)

  constructor(plugin: PluginDefinition) {
    this.#producer = plugin.create(plugin.parameters.parse({}), this.#ports) as Producer
  }

  /** The tokens of the prompt, and those that the endpoint has; the prompt then is there. */
  send(target: string, members: Members): { readonly tokens: number; readonly cached: number } {
    const body = Buffer.from(JSON.stringify({ model: 'm', ...members }))
    const head = { method: 'POST', target, headers: [] }
    const api = parseHead(head)
    assert.ok(!isRefusal(api))
    const exchange = { head, body: { slices: [body], bytes: body.length } } as unknown as Exchange
    const parsed = this.#parser.parse(exchange, api, 'id')
    assert.ok(!isRefusal(parsed))
    const { promptSpans, promptBytes, cacheSalt } = parsed
    const request = scheduleRequest({ model: 'm', body: parsed.body, promptSpans, promptBytes, cacheSalt })
    const { facts } = this.#ports
    facts.promptTokens = Math.max(1, Math.ceil(promptBytes / 4))
    this.#producer.produce(request, this.#candidates)
    const cached = facts.cachedTokens[slotAt(0)] ?? Number.NaN
    assert.equal(facts.cachedTokens[slotAt(1)], 0)
    this.#producer.placed?.(request, slotAt(0))?.ended({ isAnswered: true, outputTokens: 1 })
    return { tokens: facts.promptTokens, cached }
  }
}

const words = (count: number): string => Array.from({ length: count }, (_, i) => `word ${i}`).join(' ')
const noise = [0, 1, 2, 3].map((seed) =>
  Buffer.from(Array.from({ length: 150_000 }, (_, i) => (Math.imul(i + 1, (seed + 1) * 7919) >>> 7) & 255)),
)
const base64 = (seed: number, bytes = 150_000): string => noise[seed]!.toString('base64', 0, bytes)

/** The same prompt with another payload: some 1,500 tokens of text, the part, and as much text after it. */
const dialects: readonly [what: string, target: string, promptOf: (seed: number) => Members][] = [
  [
    'chat, a picture as a data URL',
    '/v1/chat/completions',
    (seed) => chat({ type: 'image_url', image_url: { url: `data:image/png;base64,${base64(seed)}` } }),
  ],
  [
    'chat, a picture by its URL',
    '/v1/chat/completions',
    (seed) => chat({ type: 'image_url', image_url: { url: `https://a.example/${seed}.png` } }),
  ],
  [
    'chat, sound',
    '/v1/chat/completions',
    (seed) => chat({ type: 'input_audio', input_audio: { data: base64(seed), format: 'mp3' } }),
  ],
  [
    'chat, video',
    '/v1/chat/completions',
    (seed) => chat({ type: 'video_url', video_url: { url: `https://a.example/${seed}.mp4` } }),
  ],
  [
    'chat, a file',
    '/v1/chat/completions',
    (seed) => chat({ type: 'file', file: { filename: 'a.pdf', file_data: base64(seed) } }),
  ],
  [
    'Responses, a picture',
    '/v1/responses',
    (seed) => responses({ type: 'input_image', image_url: `data:image/png;base64,${base64(seed)}` }),
  ],
  ['Responses, a file', '/v1/responses', (seed) => responses({ type: 'input_file', file_id: `file-${seed}` })],
  [
    'Messages, a picture',
    '/v1/messages',
    (seed) => chat({ type: 'image', source: { type: 'base64', media_type: 'image/png', data: base64(seed) } }),
  ],
  [
    'Messages, a picture by its URL',
    '/v1/messages',
    (seed) => chat({ type: 'image', source: { type: 'url', url: `https://a.example/${seed}.png` } }),
  ],
  [
    'Messages, a document',
    '/v1/messages',
    (seed) => chat({ type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: base64(seed) } }),
  ],
]

function content(part: object): object[] {
  return [{ type: 'text', text: words(600) }, part, { type: 'text', text: words(600) }]
}

function chat(part: object): Members {
  return { messages: [{ role: 'user', content: content(part) }] }
}

function responses(part: object): Members {
  return { input: [{ role: 'user', content: content(part) }] }
}

/** Tokens of the text before the part, at most: up to where the word before it ends. */
const before = Math.ceil((words(600).length + 120) / 4)

for (const plugin of producers) {
  describe(plugin.type, () => {
    for (const [what, target, promptOf] of dialects) {
      test(`two prompts share up to the first part that differs: ${what}`, () => {
        const one = new Case(plugin)
        const first = one.send(target, promptOf(1))
        assert.equal(first.cached, 0)
        assert.ok(first.tokens > 2 * before - 100 && first.tokens < 2 * before + 4096 + 100, `${first.tokens} tokens`)
        const other = one.send(target, promptOf(2))
        assert.ok(other.cached > before - 3 * blockTokens && other.cached <= before, `${other.cached} of ${before}`)
        const again = one.send(target, promptOf(1))
        assert.ok(again.cached > again.tokens - 2 * blockTokens, `${again.cached} of ${again.tokens}`)
      })
    }

    test('prompts share under the same salt only', () => {
      const one = new Case(plugin)
      const salted = (cacheSalt: unknown): boolean => {
        const { tokens, cached } = one.send('/v1/completions', { prompt: words(600), cache_salt: cacheSalt })
        assert.ok(cached === 0 || cached > tokens - 2 * blockTokens)
        return cached > 0
      }
      const salts = [
        undefined,
        'a',
        'b',
        'a',
        undefined,
        null,
        '',
        'b',
        'ab',
        `${'x'.repeat(5000)}1`,
        `${'x'.repeat(5000)}2`,
      ]
      assert.deepEqual(salts.map(salted), [false, false, false, true, true, true, true, true, false, false, false])
    })
  })
}

test('of any two conversations with parts of any kind what is cached is what they begin with', () => {
  const part = fc.oneof(
    fc.nat(3).map((seed) => ({ type: 'text', text: words(200 + seed) })),
    fc.nat(3).map((seed) => ({ type: 'image_url', image_url: { url: `data:image/png;base64,${base64(seed, 900)}` } })),
    fc.nat(3).map((seed) => ({ type: 'input_audio', input_audio: { data: base64(seed, 90_000), format: 'wav' } })),
  )
  const parts = fc.array(part, { minLength: 1, maxLength: 6 })
  fc.assert(
    fc.property(parts, parts, (first, second) => {
      const one = new Case(prefix)
      const path = '/v1/chat/completions'
      const sent = (list: readonly object[]) => one.send(path, { messages: [{ role: 'user', content: list }] })
      const held = sent(first)
      const { tokens, cached } = sent(second)
      let equal = 0
      while (equal < first.length && JSON.stringify(first[equal]) === JSON.stringify(second[equal])) equal++
      assert.ok(cached <= Math.min(tokens, held.tokens))
      const common = new Case(prefix).send(path, {
        messages: [{ role: 'user', content: first.slice(0, equal) }],
      }).tokens
      // Within the first part that differs they may share its beginning: the words of two texts do.
      const next = first[equal]
      const isText = next !== undefined && next.type === 'text' && second[equal]?.type === 'text'
      const most = isText ? held.tokens : common + blockTokens
      assert.ok(cached > common - 2 * blockTokens && cached <= most, `${cached} of ${common}`)
    }),
    { numRuns: 60, seed: 11 },
  )
})
