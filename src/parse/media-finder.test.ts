import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { MediaFinder, type MediaKind, mediaHints } from './media-finder.ts'

const finder = new MediaFinder()

function partsOf(value: unknown, all?: MediaKind): string[] {
  const text = Buffer.from(JSON.stringify(value))
  return finder
    .find([text], { start: 0, end: text.length }, all)
    .map(({ start, end, kind }) => `${kind} ${text.toString('utf8', start, end)}`)
}

const chat = (...content: object[]): object[] => [{ role: 'user', content }]
const text = { type: 'text', text: 'url, data and "image_url"' }
const url = 'https://a.example/cat.png'
const data = 'data:image/png;base64,iVBO/RU=='

const cases: readonly [what: string, value: unknown, parts: readonly string[], all?: MediaKind][] = [
  ['chat, a data URL', chat(text, { type: 'image_url', image_url: { url: data, detail: 'low' } }), [`image ${data}`]],
  ['chat, a URL', chat({ type: 'image_url', image_url: { url } }, text), [`image ${url}`]],
  [
    'chat, the keys in the order of the alphabet',
    chat({ image_url: { detail: 'low', url }, type: 'image_url' }),
    [`image ${url}`],
  ],
  ['chat, short for a URL', chat({ image_url: url }), [`image ${url}`]],
  ['chat, sound', chat({ type: 'input_audio', input_audio: { data: 'UklGRg==', format: 'wav' } }), ['audio UklGRg==']],
  ['chat, a file', chat({ type: 'file', file: { filename: 'a', file_data: 'JVBERi0=' } }), ['file JVBERi0=']],
  ['chat, a file by its id', chat({ type: 'file', file: { file_id: 'f-1' } }), ['file f-1']],
  [
    'vLLM, video and sound by URL',
    chat({ type: 'video_url', video_url: { url } }, { type: 'audio_url', audio_url: { url } }),
    [`video ${url}`, `audio ${url}`],
  ],
  [
    'vLLM, embeddings',
    chat({ type: 'image_embeds', image_embeds: { image_embeds: 'AAA=', grid: 'BBB=' } }),
    ['image AAA=', 'image BBB='],
  ],
  ['Responses, a picture', [{ role: 'user', content: [{ type: 'input_image', image_url: data }] }], [`image ${data}`]],
  ['Responses, a picture by its id', [{ content: [{ file_id: 'f-2', type: 'input_image' }] }], ['image f-2']],
  [
    'Responses, files',
    [
      {
        content: [
          { type: 'input_file', filename: 'b', file_data: data },
          { type: 'input_file', file_url: url },
        ],
      },
    ],
    [`file ${data}`, `file ${url}`],
  ],
  [
    'Responses, a screenshot',
    [{ type: 'computer_call_output', output: { type: 'computer_screenshot', image_url: data } }],
    [`image ${data}`],
  ],
  [
    'Messages, base64',
    chat({ type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'iVBO' } }),
    ['image iVBO'],
  ],
  [
    'Messages, a URL, the keys in the order of the alphabet',
    chat({ source: { type: 'url', url }, type: 'document' }),
    [`file ${url}`],
  ],
  [
    'Messages, a document',
    chat({ type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: 'JVBE' }, title: 't' }),
    ['file JVBE'],
  ],
  [
    'Messages, a document by its id',
    chat({ type: 'document', source: { type: 'file', file_id: 'f-3' } }),
    ['file f-3'],
  ],
  [
    'Messages, a document that is text',
    chat({ type: 'document', source: { data: 'all of it', media_type: 'text/plain', type: 'text' } }),
    [],
  ],
  [
    'Messages, pictures in a document',
    chat({
      type: 'document',
      source: { type: 'content', content: [text, { type: 'image', source: { type: 'url', url } }] },
    }),
    [`image ${url}`],
  ],
  [
    'Messages, pictures of a tool',
    chat({
      type: 'tool_result',
      tool_use_id: 'x',
      content: [{ type: 'image', source: { type: 'base64', data: 'iVBO' } }],
    }),
    ['image iVBO'],
  ],
  [
    'arguments of a tool',
    chat({ type: 'tool_use', id: 'x', input: { image_url: url, source: { url, data: 'abc' }, file_id: 'f' } }),
    [],
  ],
  ['what is said about pictures', chat({ type: 'text', text: JSON.stringify({ image_url: { url } }) }), []],
  ['text', 'data:image/png;base64,AAAA', []],
  ['nothing', chat({ type: 'image_url', image_url: { url: '' } }), []],
  ['SGLang, one', data, [`image ${data}`], 'image'],
  ['SGLang, several', [url, { url }], [`video ${url}`, `video ${url}`], 'video'],
]

describe('what is no text is found', () => {
  for (const [what, value, parts, all] of cases) test(what, () => assert.deepEqual(partsOf(value, all), parts))

  test('only behind a key that is among the hints', () => {
    const hints = [...mediaHints].map((hint) => `"${hint}":`)
    for (const [what, value, parts, all] of cases) {
      if (all !== undefined || parts.length === 0) continue
      const written = JSON.stringify(value)
      assert.ok(
        hints.some((hint) => written.includes(hint)),
        what,
      )
    }
  })

  test('wherever the body is cut, with escapes before and in it', () => {
    const value = chat(
      { type: 'text', text: 'a \\" quoted \\\\"' },
      { type: 'image_url', image_url: { url: 'x\\"y\\', detail: 'a' } },
      { source: { data: 'é"\\', type: 'base64' }, type: 'document' },
    )
    const written = Buffer.from(JSON.stringify(value))
    const span = { start: 0, end: written.length }
    const whole = finder.find([written], span)
    assert.equal(whole.length, 2)
    fc.assert(
      fc.property(fc.array(fc.nat(written.length), { maxLength: 8 }), (cuts) => {
        const at = [0, ...cuts.toSorted((a, b) => a - b), written.length]
        const slices = at.slice(1).map((end, i) => written.subarray(at[i], end))
        assert.deepEqual(finder.find(slices, span), whole)
      }),
    )
    const around = [Buffer.from('{"messages":'), written, Buffer.from('}')]
    const moved = finder.find(around, { start: 12, end: 12 + written.length })
    assert.deepEqual(
      moved,
      whole.map((part) => ({ ...part, start: part.start + 12, end: part.end + 12 })),
    )
  })

  test('in any JSON without an error, and in order', () => {
    const strings = fc.oneof(
      fc.string(),
      fc.constantFrom('image_url', 'source', 'type', 'text', 'url', 'data', 'file', 'input'),
    )
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 5 }, strings, fc.integer(), fc.constant(null), tie('list'), tie('object')),
      list: fc.array(tie('value'), { maxLength: 4 }),
      object: fc.dictionary(strings, tie('value'), { maxKeys: 4 }),
    }))
    fc.assert(
      fc.property(value, (one) => {
        const written = Buffer.from(JSON.stringify(one))
        let before = 0
        for (const { start, end } of finder.find([written], { start: 0, end: written.length })) {
          assert.ok(start >= before && end > start && written[start - 1] === 0x22 && written[end] === 0x22)
          before = end
        }
      }),
      { numRuns: 2000 },
    )
  })

  test('behind text that is dense with escapes', () => {
    const code = 'const a = \\"b\\" + "c\\n"\n'.repeat(200)
    const value = chat(
      { type: 'text', text: code },
      { type: 'image_url', image_url: { url } },
      { type: 'text', text: code },
    )
    const written = Buffer.from(JSON.stringify(value))
    const whole = finder.find([written], { start: 0, end: written.length })
    assert.deepEqual(
      whole.map(({ start, end }) => written.toString('utf8', start, end)),
      [url],
    )
    for (let cut = 0; cut < written.length; cut += 7) {
      const slices = [written.subarray(0, cut), written.subarray(cut)]
      assert.deepEqual(finder.find(slices, { start: 0, end: written.length }), whole, `cut at ${cut}`)
    }
  })

  test('up to a number of parts', () => {
    assert.equal(
      partsOf(
        Array.from({ length: 3000 }, () => 'x'),
        'image',
      ).length,
      1024,
    )
  })
})
