import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { PageScan } from './prometheus-scan.ts'

interface Series {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const captured = readFileSync(new URL('../scraper/fixtures/vllm-0.32.0.txt', import.meta.url))

/** The slow way, by lines and regular expressions: what the scan is held against. */
function referenceSeries(page: string, name: string): Series[] {
  const found: Series[] = []
  for (const line of page.split('\n')) {
    const match = /^[ \t]*([a-zA-Z_:][\w:]*)[ \t]*(?:\{((?:[^"}]|"(?:\\.|[^"\\])*")*)\})?[ \t]*(\S+)/.exec(line)
    if (match === null || match[1] !== name || /^\s*#/.test(line)) continue
    const labels: Record<string, string> = {}
    for (const [, key, value] of (match[2] ?? '').matchAll(/([\w]+)\s*=\s*"((?:\\.|[^"\\])*)"/g)) {
      labels[key as string] = (value as string).replace(/\\([\\"n])/g, (_, c: string) => (c === 'n' ? '\n' : c))
    }
    const text = match[3] as string
    const value = /^[+]?inf/i.test(text) ? Infinity : /^-inf/i.test(text) ? -Infinity : Number(text)
    if (Number.isNaN(value) && !/^nan$/i.test(text)) continue
    found.push({ labels, value })
  }
  return found
}

function scanned(scan: PageScan, index: number, labelNames: readonly string[]): Series[] {
  const found: Series[] = []
  if (!scan.seek(index)) return found
  do {
    const labels: Record<string, string> = {}
    for (const name of labelNames) {
      const value = scan.label(name)
      if (value !== undefined) labels[name] = value
    }
    found.push({ labels, value: scan.value })
  } while (scan.next())
  return found
}

function scanOnce(page: string, name: string, labelNames: readonly string[] = []): Series[] {
  const scan = new PageScan([name])
  scan.open(Buffer.from(page))
  return scanned(scan, 0, labelNames)
}

const valueCases = [
  { text: '12.0', value: 12 },
  { text: '0.4137225855600588', value: 0.4137225855600588 },
  { text: '1.7952538950365512e+09', value: 1.7952538950365512e9 },
  { text: '1e-3', value: 0.001 },
  { text: '-2.5', value: -2.5 },
  { text: '.5', value: 0.5 },
  { text: '5.', value: 5 },
  { text: '123456789012345678', value: 123456789012345680 },
  { text: 'NaN', value: Number.NaN },
  { text: 'nan', value: Number.NaN },
  { text: '+Inf', value: Number.POSITIVE_INFINITY },
  { text: '-Inf', value: Number.NEGATIVE_INFINITY },
] as const

for (const { text, value } of valueCases) {
  test(`reads the value ${text}`, () => {
    for (const line of [`up ${text}\n`, `up{a="b"} ${text}\r\n`, `up ${text} 1395066363000\n`, `up\t${text}`]) {
      assert.deepEqual(
        scanOnce(line, 'up').map((series) => series.value),
        [value],
        line,
      )
    }
  })
}

test('passes over lines that are no samples', () => {
  assert.deepEqual(scanOnce('up{a="b\n"} 1\n', 'up'), [])
  for (const line of ['up', 'up ', 'up x', 'up 0x10', 'up --1', 'up{', 'up{a="b" 1', 'up{a="b} 1', 'up 1e', 'up -']) {
    assert.deepEqual(scanOnce(`${line}\n`, 'up'), [], line)
    assert.deepEqual(
      scanOnce(`${line}\nup 2\n`, 'up')
        .map((series) => series.value)
        .at(-1),
      2,
      line,
    )
  }
})

test('does not take a longer name, a comment or a label value for the name', () => {
  const page = [
    '# HELP up up 1',
    '# TYPE up gauge',
    'up_by_reason{a="up 7"} 1',
    'sup 2',
    'other{x="\\nup 3"} 3',
    'up{engine="0"} 4',
    'up{engine="1"} 5 # {trace_id="x"} 0.67',
    '# EOF',
  ].join('\n')
  assert.deepEqual(scanOnce(page, 'up', ['engine']), [
    { labels: { engine: '0' }, value: 4 },
    { labels: { engine: '1' }, value: 5 },
  ])
})

test('undoes escapes and minds quotes in label values', () => {
  const page = 'up{a="x\\"},y=\\\\",b="line\\nbreak",c="ü{}",} 1\n'
  assert.deepEqual(scanOnce(page, 'up', ['a', 'b', 'c', 'd']), [
    { labels: { a: 'x"},y=\\', b: 'line\nbreak', c: 'ü{}' }, value: 1 },
  ])
})

test('reads the captured page as the slow parser does', () => {
  const text = captured.toString()
  const names = [...text.matchAll(/^# TYPE (\S+) (?:gauge|counter)$/gm)].map((match) => match[1] as string)
  assert.ok(names.length > 40)
  const scan = new PageScan([...names, 'vllm:num_requests', 'absent'])
  for (let round = 0; round < 2; round++) {
    scan.open(captured)
    names.forEach((name, index) => {
      const labelNames = [
        'engine',
        'le',
        'max_lora',
        'running_lora_adapters',
        'block_size',
        'num_gpu_blocks',
        'handler',
      ]
      const expected = referenceSeries(text, name).map(({ labels, value }) => ({
        labels: Object.fromEntries(Object.entries(labels).filter(([key]) => labelNames.includes(key))),
        value,
      }))
      assert.deepEqual(sorted(scanned(scan, index, labelNames)), sorted(expected), name)
    })
    assert.equal(scan.seek(names.length), false)
    assert.equal(scan.seek(names.length + 1), false)
  }
})

function sorted(series: readonly Series[]): string[] {
  return series.map((one) => JSON.stringify([Object.entries(one.labels).toSorted(), String(one.value)])).toSorted()
}

test('finds a name again wherever it has moved', () => {
  const scan = new PageScan(['up', 'down'])
  for (const bytesBefore of [0, 5000, 4990, 9000, 10, 3000, 0]) {
    scan.open(Buffer.from(`${'x 1\n'.repeat(bytesBefore / 4)}up ${bytesBefore}\n${'y 1\n'.repeat(500)}down 1\n`))
    assert.ok(scan.seek(0))
    assert.equal(scan.value, bytesBefore)
    assert.ok(scan.seek(1))
  }
})

test('finds a name that appears later within sixteen pages, and at once when told to look again', () => {
  const scan = new PageScan(['up'])
  for (let page = 0; page < 100; page++) {
    scan.open(Buffer.from('other 1\n'))
    assert.equal(scan.seek(0), false)
  }
  let pages = 0
  do {
    scan.open(Buffer.from('up 1\n'))
    pages++
  } while (!scan.seek(0))
  assert.ok(pages <= 16, `${pages}`)
  for (let page = 0; page < 100; page++) {
    scan.open(Buffer.from('other 1\n'))
    scan.seek(0)
  }
  scan.forgetMisses()
  scan.open(Buffer.from('up 1\n'))
  assert.ok(scan.seek(0))
})

const nameArb = fc.constantFrom('up', 'up_total', 'u', 'x:up', 'vllm:num', 'vllm:num_by', 'a_b_c')
const labelValueArb = fc
  .string({ unit: fc.constantFrom('a', '"', '\\', '\n', '{', '}', ',', '=', ' ', 'ü', 'up 1'), maxLength: 8 })
  .map((value) => ({ value, text: value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n') }))
const numberArb = fc.oneof(
  fc.double().map((value) => ({ value, text: Number.isFinite(value) ? String(value) : textOf(value) })),
  fc.integer().map((value) => ({ value, text: `${value}.0` })),
)
const seriesArb = fc.record({
  labels: fc.dictionary(fc.constantFrom('a', 'b', 'engine'), labelValueArb),
  number: numberArb,
  timestamp: fc.boolean(),
  blank: fc.constantFrom('', ' ', '\t'),
})
const familyArb = fc.record({
  name: nameArb,
  series: fc.array(seriesArb, { minLength: 1, maxLength: 4 }),
  help: fc.boolean(),
})

function textOf(value: number): string {
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf'
}

type Family = typeof familyArb extends fc.Arbitrary<infer T> ? T : never

function pageText(families: readonly Family[], lineEnd: string): string {
  let text = ''
  for (const { name, series, help } of families) {
    if (help) text += `# HELP ${name} says ${name} 1${lineEnd}# TYPE ${name} gauge${lineEnd}`
    for (const { labels, number, timestamp, blank } of series) {
      const pairs = Object.entries(labels).map(([key, { text: value }]) => `${key}="${value}"`)
      const labelText = pairs.length > 0 ? `${blank}{${pairs.join(',')}}` : ''
      text += `${name}${labelText} ${number.text}${timestamp ? ' 1395066363000' : ''}${lineEnd}`
    }
  }
  return text
}

test('agrees with the slow parser on every generated sequence of pages', () => {
  const pageArb = fc.tuple(
    fc.uniqueArray(familyArb, { selector: (family) => family.name, maxLength: 7 }),
    fc.constantFrom('\n', '\r\n'),
  )
  fc.assert(
    fc.property(fc.array(pageArb, { minLength: 1, maxLength: 4 }), (pages) => {
      const names = ['up', 'up_total', 'u', 'x:up', 'vllm:num', 'vllm:num_by', 'a_b_c']
      const scan = new PageScan(names)
      for (const [families, lineEnd] of pages) {
        const text = pageText(families, lineEnd)
        scan.forgetMisses()
        scan.open(Buffer.from(text))
        names.forEach((name, index) => {
          const expected = (families.find((family) => family.name === name)?.series ?? []).map(
            ({ labels, number }) => ({
              labels: Object.fromEntries(Object.entries(labels).map(([key, { value }]) => [key, value])),
              value: number.value,
            }),
          )
          assert.deepEqual(sorted(scanned(scan, index, ['a', 'b', 'engine'])), sorted(expected))
          assert.deepEqual(sorted(referenceSeries(text, name)), sorted(expected))
        })
      }
    }),
    { numRuns: 300 },
  )
})

test('survives every mutation of a page', () => {
  const base = Buffer.from(
    pageText([], '\n') +
      captured
        .toString()
        .split('\n')
        .filter((line) => /lora|running|waiting|cache_config/.test(line))
        .join('\n'),
  )
  const edit = fc.record({
    at: fc.nat({ max: base.length - 1 }),
    bytes: fc.oneof(
      fc.uint8Array({ maxLength: 6 }),
      fc.constantFrom('"', '\\', '\n', '{', '}', '\r', '\0').map((c) => Buffer.from(c)),
    ),
    cut: fc.nat({ max: 40 }),
  })
  const names = ['vllm:num_requests_running', 'vllm:lora_requests_info', 'vllm:cache_config_info', 'vllm:num_requests']
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 6 }), fc.nat({ max: base.length }), (edits, length) => {
      const scan = new PageScan(names)
      scan.open(base)
      names.forEach((_, index) => scanned(scan, index, ['engine', 'max_lora', 'block_size']))
      let page: Buffer = base
      for (const { at, bytes, cut } of edits)
        page = Buffer.concat([page.subarray(0, at), bytes, page.subarray(at + cut)])
      for (const mutated of [page, page.subarray(0, length)]) {
        scan.open(mutated)
        names.forEach((_, index) => {
          const series = scanned(scan, index, ['engine', 'max_lora', 'block_size'])
          assert.ok(series.length <= mutated.length)
        })
      }
    }),
    { numRuns: 500 },
  )
})
