import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type JsonError, type JsonMember, ObjectScanner } from './object-scanner.ts'

interface Scan {
  readonly members: readonly JsonMember[]
  readonly error: JsonError | undefined
  readonly complete: boolean
}

const wanted: ReadonlySet<string> = new Set(['model', 'stream', 'messages', 'a', '', 'max_completion_tokens'])

/** Scans slices; each lies in the middle of a buffer of garbage that must not be read. */
function scanSlices(slices: readonly Buffer[], keys = wanted): Scan {
  const scanner = new ObjectScanner(keys)
  for (const slice of slices) {
    const padded = Buffer.concat([Buffer.from('"\\{,'), slice, Buffer.from('"\\":"}],')])
    scanner.push(padded, 4, 4 + slice.length)
  }
  scanner.finish()
  return { members: scanner.members, error: scanner.error, complete: scanner.complete }
}

const scan = (text: string | Buffer): Scan => scanSlices([Buffer.from(text)])

function cutAt(data: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [0, ...cuts.map((cut) => cut % (data.length + 1)).toSorted((a, b) => a - b), data.length]
  return at.slice(1).map((end, i) => data.subarray(at[i], end))
}

/** Members as a parser sees them. */
function values(text: string | Buffer): [key: string, value: unknown][] {
  const data = Buffer.from(text)
  return scan(text).members.map(({ key, start, end }) => [key, JSON.parse(data.toString('utf8', start, end))])
}

const cuts = fc.array(fc.nat(), { maxLength: 8 })

/** The same value with blanks where JSON allows them and some characters of strings as escapes. */
function respell(value: unknown, blank: string, escapeEvery: number): string {
  let count = 0
  const text = (s: string): string => {
    const plain = JSON.stringify(s).slice(1, -1)
    const spelled = [...plain.matchAll(/\\u[0-9a-f]{4}|\\.|[^\\]/gsu)].map(([char]) => {
      const isLetter = /^[A-Za-z0-9_]$/.test(char)
      return isLetter && ++count % escapeEvery === 0 ? `\\u00${char.charCodeAt(0).toString(16)}` : char
    })
    return `"${spelled.join('')}"`
  }
  const write = (v: unknown): string => {
    if (typeof v === 'string') return text(v)
    if (Array.isArray(v)) return `[${blank}${v.map(write).join(`${blank},${blank}`)}${blank}]`
    if (typeof v !== 'object' || v === null) return JSON.stringify(v)
    const members = Object.entries(v).map(([key, member]) => `${text(key)}${blank}:${blank}${write(member)}`)
    return `{${blank}${members.join(`${blank},${blank}`)}${blank}}`
  }
  return `${blank}${write(value)}${blank}`
}

const json = fc.jsonValue({ maxDepth: 4, stringUnit: 'binary' })
const keys = fc.oneof(fc.constantFrom('model', 'stream', 'messages', 'a', 'b', 'max_completion_tokens'), fc.string())
const object = fc.dictionary(keys, json, { maxKeys: 6 })
const document = fc
  .tuple(object, fc.constantFrom('', ' ', '\n', '\t', '\r\n', '  \t\n'), fc.integer({ min: 2, max: 7 }))
  .map(([value, blank, escapeEvery]) => ({ value, text: respell(value, blank, escapeEvery) }))

test('property: whatever JSON.stringify prints is accepted, and the spans are exactly the values', () => {
  fc.assert(
    fc.property(object, fc.constantFrom(undefined, 1, '\t'), (value, indent) => {
      const text = JSON.stringify(value, undefined, indent)
      const parsed = JSON.parse(text) as Record<string, unknown>
      assert.equal(scan(text).error, undefined)
      assert.deepEqual(
        values(text),
        Object.entries(parsed).filter(([key]) => wanted.has(key)),
      )
    }),
    { seed: 31, numRuns: 1500 },
  )
})

test('property: blanks and escapes, in keys too, change nothing', () => {
  fc.assert(
    fc.property(document, ({ text }) => {
      const parsed = JSON.parse(text) as Record<string, unknown>
      assert.deepEqual(
        values(text),
        Object.entries(parsed).filter(([key]) => wanted.has(key)),
      )
    }),
    { seed: 32, numRuns: 1000 },
  )
})

test('property: members and error are the same however the text is cut, damaged or not', () => {
  const damage = fc.option(fc.tuple(fc.nat(), fc.constantFrom(...'{}[]",:\\ 0-.eEtn\0\xff')))
  fc.assert(
    fc.property(document, damage, cuts, ({ text }, place, where) => {
      const data = Buffer.from(text)
      if (place !== null) data[place[0] % data.length] = place[1].charCodeAt(0)
      assert.deepEqual(scanSlices(cutAt(data, where)), scan(data))
    }),
    { seed: 33, numRuns: 2000 },
  )
})

test('property: a text cut after every byte gives the same as in one piece', () => {
  fc.assert(
    fc.property(document, ({ text }) => {
      const data = Buffer.from(text)
      assert.deepEqual(scanSlices([...data].map((byte) => Buffer.of(byte))), scan(data))
    }),
    { seed: 34, numRuns: 200 },
  )
})

/** Whether a parser could object only to what is inside strings: control bytes, bad escapes, bad UTF-8. */
function hasOddStrings(text: string): boolean {
  const strings = text.match(/"(?:[^"\\]|\\.)*"/gs) ?? []
  return strings.some((string) => {
    try {
      JSON.parse(string)
      return false
    } catch {
      return true
    }
  })
}

test('property: a damaged document that the scanner accepts is refused by a parser for its strings only', () => {
  const place = fc.tuple(
    fc.nat(),
    fc.nat(2),
    fc.constantFrom('', ...'{}[]",:\\ 0-+.eEtfn\0', 'true', 'NaN', '00', '"a":1'),
  )
  let accepted = 0
  fc.assert(
    fc.property(document, fc.array(place, { minLength: 1, maxLength: 2 }), ({ text }, places) => {
      let damaged = text
      for (const [at, remove, insert] of places) {
        const pos = at % (damaged.length + 1)
        damaged = damaged.slice(0, pos) + insert + damaged.slice(pos + remove)
      }
      let parsed: unknown
      try {
        parsed = JSON.parse(damaged)
      } catch {
        parsed = undefined
      }
      const isObject = typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)
      const { complete } = scan(damaged)
      if (complete) accepted++
      if (isObject) assert.ok(complete, `only the parser accepts ${damaged}`)
      else if (complete) assert.ok(hasOddStrings(damaged), `only the scanner accepts ${damaged}`)
    }),
    { seed: 35, numRuns: 4000 },
  )
  assert.ok(accepted > 400)
})

test('property: long strings with dense or sparse escapes end where they end', () => {
  const piece = fc.constantFrom(
    '\\"',
    '\\\\',
    '\\\\\\"',
    '\\n',
    'x',
    'ä',
    'x'.repeat(31),
    'x'.repeat(90),
    'x'.repeat(700),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 120 }), cuts, (pieces, where) => {
      const data = Buffer.from(`{"a":"${pieces.join('')}","model":"m"}`)
      const expected = [
        { key: 'a', start: 5, end: data.length - 13 },
        { key: 'model', start: data.length - 4, end: data.length - 1 },
      ]
      assert.deepEqual(scan(data), { members: expected, error: undefined, complete: true })
      assert.deepEqual(scanSlices(cutAt(data, where)).members, expected)
    }),
    { seed: 36, numRuns: 600 },
  )
})

describe('the error names the byte at fault', () => {
  const cases: readonly [text: string, offset: number, detail: RegExp][] = [
    ['', 0, /too early/],
    ['  ', 2, /too early/],
    ['[]', 0, /not a JSON object/],
    ['"a"', 0, /not a JSON object/],
    ['\ufeff{}', 0, /not a JSON object/],
    ['{', 1, /too early/],
    ['{"a', 3, /too early/],
    ['{"a"', 4, /too early/],
    ['{"a":1', 6, /too early/],
    ['{"a" 1}', 5, /colon/],
    ['{"a":}', 5, /value is missing/],
    ['{"a":1 "b":2}', 7, /comma/],
    ['{"a":1,}', 7, /key/],
    ['{,}', 1, /key/],
    ["{'a':1}", 1, /key/],
    ['{a:1}', 1, /key/],
    ['{"a":[1,]}', 8, /value is missing/],
    ['{"a":[1}', 7, /comma or \]/],
    ['{"a":[}', 6, /value is missing/],
    ['{"a":{]}', 6, /key/],
    ['{"a":{"b":1]}', 11, /comma or \}/],
    ['{"a":01}', 6, /comma/],
    ['{"a":+1}', 5, /value is missing/],
    ['{"a":.5}', 5, /value is missing/],
    ['{"a":-}', 6, /number/],
    ['{"a":1.}', 7, /number/],
    ['{"a":1e}', 7, /number/],
    ['{"a":1e+}', 8, /number/],
    ['{"a":1.e5}', 7, /number/],
    ['{"a":NaN}', 5, /value is missing/],
    ['{"a":truE}', 8, /true, false, null/],
    ['{"a":nul}', 8, /true, false, null/],
    ['{"a":trues}', 9, /comma/],
    ['{"a":1}}', 7, /after the object/],
    ['{"a":1} x', 8, /after the object/],
    ['{"a":1}{}', 7, /after the object/],
    ['{"a":1\0}', 6, /comma/],
    ['{"a":1\u00a0}', 6, /comma/],
    ['{"a":"\\"}', 9, /too early/],
  ]
  for (const [text, offset, detail] of cases) {
    test(JSON.stringify(text), () => {
      const { error, complete } = scan(text)
      assert.equal(error?.offset, offset)
      assert.match(error.detail, detail)
      assert.equal(complete, false)
    })
  }
})

test('nesting of 256 levels is accepted and one more is refused', () => {
  const nested = (depth: number): string => `{"a":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`
  assert.equal(scan(nested(256)).error, undefined)
  assert.match(scan(nested(257)).error?.detail ?? '', /deeper than 256/)
  assert.match(scan('{"a":'.repeat(100_000)).error?.detail ?? '', /deeper than 256/)
})

test('an escaped key is the key it spells', () => {
  assert.deepEqual(values('{"mod\\u0065l":1,"\\u006d\\u006F\\u0064\\u0065\\u006C":2,"m\\/odel":3,"model\\u0000":4}'), [
    ['model', 1],
    ['model', 2],
  ])
  const escaped = [...'max_completion_tokens'].map((char) => `\\u00${char.charCodeAt(0).toString(16)}`).join('')
  assert.deepEqual(values(`{"${escaped}":5}`), [['max_completion_tokens', 5]])
  assert.deepEqual(values('{"mod\\xel":1,"mod\\u00el":2,"a":3}'), [['a', 3]])
})

test('repeated keys are all found, in order', () => {
  assert.deepEqual(values('{"model":"x","b":1,"model":"y","model":null}'), [
    ['model', 'x'],
    ['model', 'y'],
    ['model', null],
  ])
})

test('repeated keys are bounded', () => {
  const body = (count: number): string => `{${Array<string>(count).fill('"a":1').join(',')}}`
  assert.equal(scan(body(256)).members.length, 256)
  const { error, members } = scan(body(257))
  assert.match(error?.detail ?? '', /repeated/)
  assert.equal(members.length, 256)
})

test('keys of deeper levels and keys that only begin alike are not found', () => {
  assert.deepEqual(values('{"x":{"model":1,"y":[{"model":2}]},"Model":3,"model ":4,"models":5,"mode":6}'), [])
  assert.deepEqual(values('{"":1}'), [['', 1]])
})

test('long keys are skipped, cut anywhere', () => {
  const long = 'k'.repeat(5000)
  const data = Buffer.from(`{"${long}":{"model":0},"model":1,"${long}model":2}`)
  for (const cut of [1, 2, 100, 193, 194, 195, 5001, 5002, 5003]) {
    const { members, error } = scanSlices([data.subarray(0, cut), data.subarray(cut)])
    assert.equal(error, undefined)
    assert.deepEqual(
      members.map(({ key, start, end }) => [key, data.toString('utf8', start, end)]),
      [['model', '1']],
    )
  }
})

test('a scanner is as new after reset, whatever it was left with', () => {
  const scanner = new ObjectScanner(wanted)
  const good = Buffer.from('{"model":"m"}')
  for (const text of [
    '{"model":"m"}',
    '{"model":"m\\',
    '{"mod\\',
    '{"a":[[',
    '{"a":tr',
    '{"a":-',
    '}',
    '{"model":1,"model":',
  ]) {
    scanner.push(Buffer.from(text), 0, Buffer.byteLength(text))
    scanner.reset()
    scanner.push(good, 0, good.length)
    scanner.finish()
    assert.deepEqual([scanner.members, scanner.error], [[{ key: 'model', start: 9, end: 12 }], undefined], text)
    scanner.reset()
  }
})

test('nothing is noted after an error', () => {
  const scanner = new ObjectScanner(wanted)
  scanner.push(Buffer.from('{"a":1]'), 0, 7)
  const { error } = scanner
  scanner.push(Buffer.from(',"model":1}'), 0, 11)
  scanner.finish()
  assert.equal(scanner.error, error)
  assert.deepEqual(
    scanner.members.map(({ key }) => key),
    ['a'],
  )
})

describe('hints', () => {
  const hints = { keys: new Set(['url', 'image_url']), within: new Set(['a']) }
  const hinted = (text: string, cut = text.length): boolean => {
    const scanner = new ObjectScanner(new Set(['a']), hints)
    const bytes = Buffer.from(text)
    scanner.push(bytes, 0, cut)
    scanner.push(bytes, cut, bytes.length)
    scanner.finish()
    assert.equal(scanner.error, undefined)
    return scanner.hinted
  }
  const cases: readonly [text: string, hinted: boolean][] = [
    ['{"a":{"url":1}}', true],
    ['{"a":[[{"b":{"image_url" : "x"}}]]}', true],
    ['{"a":{"x":1,"url":1}}', true],
    ['{"b":{"x":1,"url":1},"a":2}', false],
    ['{"url":1,"a":[]}', false],
    ['{"a":["url","image_url",{"b":"url"}]}', false],
    ['{"a":{"URL":1,"ur":2,"urls":3,"\\"url":4}}', false],
  ]
  for (const [text, expected] of cases) {
    test(text, () => {
      assert.equal(hinted(text), expected)
      if (expected) for (let cut = 0; cut < text.length; cut++) assert.ok(hinted(text, cut), `cut at ${cut}`)
    })
  }

  test('are forgotten with the object', () => {
    const scanner = new ObjectScanner(new Set(['a']), hints)
    for (const [text, expected] of [
      ['{"a":{"url":1}}', true],
      ['{"a":{"uri":1}}', false],
    ] as const) {
      scanner.reset()
      scanner.push(Buffer.from(text), 0, text.length)
      assert.equal(scanner.hinted, expected)
    }
  })
})
