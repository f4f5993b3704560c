import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type FormField, multipartBoundary, scanForm } from './multipart-form.ts'

const names = new Set(['model', 'stream'])

/** Names and values found in a body that is handed over in one piece. */
function found(body: string | Buffer, boundary = 'b'): (readonly [string, string])[] | string {
  const data = Buffer.from(body as string, 'latin1')
  const fields = scanForm([data], boundary, names)
  if (typeof fields === 'string') return fields
  return fields.map(({ name, start, end }) => [name, data.toString('utf8', start, end)] as const)
}

function part(disposition: string, value: string, more = ''): string {
  return `--b\r\ncontent-disposition: form-data; ${disposition}\r\n${more}\r\n${value}\r\n`
}

describe('the boundary is found in a content type', () => {
  const cases: readonly [contentType: string, boundary: string | undefined][] = [
    ['multipart/form-data; boundary=abc', 'abc'],
    ['multipart/form-data;boundary=abc', 'abc'],
    ['Multipart/Form-Data ; charset=utf-8 ; Boundary="a b;c=d"', 'a b;c=d'],
    ['multipart/form-data; boundary="a\\"b"', 'a"b'],
    ['multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW', '----WebKitFormBoundary7MA4YWxkTrZu0gW'],
    ["multipart/form-data; boundary='()+_,-./:=?", "'()+_,-./:=?"],
    ['multipart/form-data; boundary=abc;', 'abc'],
    [`multipart/form-data; boundary=${'x'.repeat(70)}`, 'x'.repeat(70)],
    [`multipart/form-data; boundary=${'x'.repeat(71)}`, undefined],
    ['multipart/form-data; x="; boundary=no"; boundary=yes', 'yes'],
    ['multipart/form-data; xboundary=abc', undefined],
    ['multipart/form-data; boundary=a; boundary=b', undefined],
    ['multipart/form-data; boundary=', undefined],
    ['multipart/form-data; boundary=""', undefined],
    ['multipart/form-data; boundary="abc', undefined],
    ['multipart/form-data; boundary=a b', undefined],
    ['multipart/form-data', undefined],
    ['multipart/form-database; boundary=abc', undefined],
    ['multipart/mixed; boundary=abc', undefined],
    ['application/json', undefined],
    ['', undefined],
  ]
  for (const [contentType, boundary] of cases) {
    test(JSON.stringify(contentType), () => assert.equal(multipartBoundary(contentType), boundary))
  }
})

test('a form made by a real client is read, and the spans are the bare values', async () => {
  const file = Buffer.from('RIFF\r\n--\r\n----\r\n\r\n"model"\r\n\0\xff', 'latin1')
  const form = new FormData()
  form.set('file', new Blob([file], { type: 'audio/wav' }), 'model".wav')
  form.set('model', 'whisper-ä 1')
  form.set('language', 'de')
  form.set('stream', 'true')
  const response = new Response(form)
  const boundary = multipartBoundary(response.headers.get('content-type') ?? '') ?? ''
  const body = Buffer.from(await response.arrayBuffer())
  const fields = scanForm([body], boundary, names) as FormField[]
  assert.deepEqual(
    fields.map(({ name, start, end }) => [name, body.toString('utf8', start, end)]),
    [
      ['model', 'whisper-ä 1'],
      ['stream', 'true'],
    ],
  )
  const slices = Array.from({ length: Math.ceil(body.length / 10) }, (_, i) => body.subarray(i * 10, i * 10 + 10))
  assert.deepEqual(scanForm(slices, boundary, names), fields)
})

describe('fields are found', () => {
  const cases: readonly [name: string, body: string, fields: [string, string][]][] = [
    [
      'in order, repeated',
      `${part('name="model"', 'a')}${part('name=stream', 'b')}${part('name="model"', 'c')}--b--\r\n`,
      [
        ['model', 'a'],
        ['stream', 'b'],
        ['model', 'c'],
      ],
    ],
    ['in an empty form', '--b--', []],
    ['behind a preamble', `hello\r\n${part('name="model"', 'a')}--b--`, [['model', 'a']]],
    ['behind an empty preamble', `\r\n${part('name="model"', 'a')}--b--`, [['model', 'a']]],
    ['before an epilogue', `${part('name="model"', 'a')}--b--\r\n${part('name="model"', 'x')}`, [['model', 'a']]],
    ['with an empty value', `${part('name="model"', '')}--b--`, [['model', '']]],
    ['with line breaks in the value', `${part('name="model"', 'a\r\n\r\nb\n')}--b--`, [['model', 'a\r\n\r\nb\n']]],
    [
      'with other headers',
      `${part('name="model"', 'a', 'Content-Type: text/plain; charset=utf-8\r\nX:\r\n')}--b--`,
      [['model', 'a']],
    ],
    ['in capitals', '--b\r\nCONTENT-DISPOSITION: FORM-DATA; NAME="model"\r\n\r\na\r\n--b--', [['model', 'a']]],
    ['with a blank missing', '--b\r\ncontent-disposition:form-data;name="model"\r\n\r\na\r\n--b--', [['model', 'a']]],
    ['with an escaped name', `${part('name="mo\\del"', 'a')}--b--`, [['model', 'a']]],
    [
      'but no files',
      `${part('name="model"; filename="x"', 'a')}${part('name="model"; filename*=utf-8\'\'x', 'a')}--b--`,
      [],
    ],
    ['but no files, filename first', `${part('filename=x; name="model"', 'a')}--b--`, []],
    ['but not in a quoted parameter', `${part('x="; name=model"; name="other"', 'a')}--b--`, []],
    ['but not without a name', `${part('x=model', 'a')}--b--`, []],
    ['but not in another disposition', '--b\r\ncontent-disposition: attachment; name="model"\r\n\r\na\r\n--b--', []],
    ['but not in a part without a header', '--b\r\n\r\nname="model"\r\n--b--', []],
    ['but not in a part without a value', '--b\r\ncontent-disposition: form-data; name="model"\r\n\r\n--b--', []],
    [
      'with text like the boundary in the value',
      `${part('name="model"', 'a\r\n--bc\r\n--b x\r\n--b-\r\nb--b--')}--b--`,
      [['model', 'a\r\n--bc\r\n--b x\r\n--b-\r\nb--b--']],
    ],
    ['behind a line like the boundary', `--bc\r\n${part('name="model"', 'a')}--b--`, [['model', 'a']]],
  ]
  for (const [name, body, fields] of cases) test(name, () => assert.deepEqual(found(body), fields))
})

describe('a malformed form is refused', () => {
  const cases: readonly [name: string, body: string, problem: RegExp][] = [
    ['nothing', '', /closing boundary/],
    ['no boundary', 'model=a', /closing boundary/],
    ['another boundary', '--c\r\n\r\n\r\n--c--', /closing boundary/],
    ['no end', part('name="model"', 'a'), /closing boundary/],
    ['an end of one hyphen', `${part('name="model"', 'a')}--b-`, /closing boundary/],
    ['an end without a line break before', `${part('name="model"', 'a').slice(0, -2)}--b--`, /closing boundary/],
    ['LF for line ends', '--b\ncontent-disposition: form-data; name="model"\n\na\n--b--', /closing boundary/],
    ['no blank line', '--b\r\ncontent-disposition: form-data; name="model"', /no header/],
    ['a header that runs into the next part', '--b\r\nx: y\r\n--b\r\n\r\n\r\n--b--', /malformed/],
    ['a folded header', '--b\r\ncontent-disposition: form-data;\r\n name="model"\r\n\r\na\r\n--b--', /malformed/],
    ['a header without a colon', '--b\r\nmodel\r\n\r\na\r\n--b--', /malformed/],
    ['an open quote', `${part('name="model', 'a')}--b--`, /malformed/],
    ['text behind a quote', `${part('name="model"x', 'a')}--b--`, /malformed/],
    ['two names', `${part('name="x"; name="model"', 'a')}--b--`, /malformed/],
    [
      'two dispositions',
      `${part('name="x"', 'a', 'Content-Disposition: form-data; name="model"\r\n')}--b--`,
      /malformed/,
    ],
    ['a header of 9000 bytes', `${part('name="x"', 'a', `x: ${'y'.repeat(9000)}\r\n`)}--b--`, /no header/],
    ['1025 parts', `${part('name="x"', 'a').repeat(1025)}--b--`, /1024 parts/],
  ]
  for (const [name, body, problem] of cases) test(name, () => assert.match(String(found(body)), problem))
})

test('property: values of any bytes are found exactly, and any damage is survived', () => {
  const value = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('latin1'))
  const key = fc.constantFrom('model', 'stream', 'other')
  const piece = fc.constantFrom('', '\r\n', '--b', '--', '"', ';', '=', '\r\n\r\n', '\0')
  fc.assert(
    fc.property(fc.array(fc.tuple(key, value), { maxLength: 5 }), fc.nat(), piece, (entries, at, insert) => {
      const body = `${entries.map(([name, text]) => part(`name="${name}"`, text)).join('')}--b--\r\n`
      const data = Buffer.from(body, 'latin1')
      const fields = scanForm([data], 'b', names) as FormField[]
      assert.deepEqual(
        fields.map(({ name, start, end }) => [name, data.toString('latin1', start, end)]),
        entries.filter(([name]) => names.has(name)),
      )
      const pos = at % (body.length + 1)
      const damaged = Buffer.from(body.slice(0, pos) + insert + body.slice(pos + 1), 'latin1')
      const result = scanForm([damaged], 'b', names)
      if (typeof result === 'string') return
      for (const { start, end } of result) assert.ok(start >= 0 && start <= end && end <= damaged.length)
    }),
    { seed: 81, numRuns: 1500 },
  )
})
