import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadDocuments, parseDocuments } from './load-documents.ts'

const cases: readonly (readonly [title: string, text: string, problems: readonly string[]])[] = [
  ['an empty file has no documents', '# nothing\n---\n---\n', []],
  ['a list is no document', '- a', ['1:1 a document is a mapping of keys to values, not a list']],
  ['a word is no document', 'hello', ['1:1 a document is a mapping of keys to values, not a plain value']],
  ['a key stands there once', 'a: 1\nb: 2\na: 3', ['3:1 not valid YAML: this key stands here a second time']],
  ['tabs do not indent', 'a:\n\tb: 1', ['2:1 not valid YAML: tabs are not allowed as indentation']],
  [
    'brackets are closed',
    'a: [1, 2\nb: 3',
    ['2:1 not valid YAML: flow sequence in block collection must be sufficiently indented and end with a ]'],
  ],
  ['variables are set', 'a:\n  - "x ${GONE}"', ['2:5 environment variable GONE is not set']],
  [
    'aliases do not multiply without end',
    `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghi'
      .split('')
      .map((name, i) => `${name}: &${name} [${Array(9).fill(`*${'abcdefgh'[i]}`).join(',')}]`)
      .join('\n')}`,
    ['1:1 aliases multiply this document more than 100 times'],
  ],
]

for (const [title, text, wanted] of cases) {
  test(`documents: ${title}`, () => {
    const { problems } = parseDocuments({ file: 'f', text }, {})
    assert.deepEqual(
      problems.map(({ line, column, message }) => `${line}:${column} ${message}`),
      wanted,
    )
  })
}

test('a problem in one document leaves the others', () => {
  const { documents, problems } = parseDocuments({ file: 'f', text: 'a: 1\n---\na: [\n---\nc: 1\n' }, {})
  assert.equal(problems.length > 0, true)
  assert.deepEqual(documents[0]?.value, { a: 1 })
})

test('merge keys and aliases are followed, in values and in places', () => {
  const text = 'base: &b { engine: vllm, deep: { x: 1 } }\none:\n  <<: *b\n  own: 2\ntwo: *b'
  const [document] = parseDocuments({ file: 'f', text }, {}).documents
  assert.deepEqual(document?.value.one, { engine: 'vllm', deep: { x: 1 }, own: 2 })
  const at = (path: string[]): string => {
    const place = document?.place(path)
    return `${place?.line}:${place?.column}`
  }
  assert.equal(at(['one', 'own']), '4:8')
  assert.equal(at(['one', 'engine']), '1:20')
  assert.equal(at(['two', 'deep', 'x']), '1:37')
  assert.equal(at(['two', 'gone']), '5:1')
})

test('variables are put in after parsing, so that they change no structure', () => {
  const { documents } = parseDocuments({ file: 'f', text: 'a: ${X}\nb: "${X}"' }, { X: '[1, 2]: {' })
  assert.deepEqual(documents[0]?.value, { a: '[1, 2]: {', b: '[1, 2]: {' })
})

test('objects of other programs keep their dollars; lists of objects are taken apart', () => {
  const pod = '{ apiVersion: v1, kind: Pod, metadata: { name: "${NOT_OURS}" } }'
  const { documents, problems } = parseDocuments(
    { file: 'f', text: `${pod}\n---\napiVersion: v1\nkind: List\nitems: [${pod}, ${pod}]` },
    {},
  )
  assert.deepEqual(problems, [])
  assert.deepEqual(
    documents.map(({ manifest, place }) => [manifest?.kind, place(['metadata', 'name']).line]),
    [
      ['Pod', 1],
      ['Pod', 5],
      ['Pod', 5],
    ],
  )
})

const secrets: readonly (readonly [title: string, text: string])[] = [
  ['a key', 'apiKey: hidden-1'],
  ['a quoted key in a flow', 'm: { apiKey: "hidden-2", x: 1 }'],
  ['a header', 'headers:\n  x-anything: hidden-3'],
  ['a block of text', 'password: |\n  hidden-4\n  hidden-5'],
  ['the user of a URL', 'url: http://user:hidden-6@host/'],
  ['a Secret', 'kind: Secret\napiVersion: v1\nstringData:\n  k: hidden-7\ndata: { j: hidden-8 }'],
  ['a private key', 'x: |\n  -----BEGIN PRIVATE KEY-----\n  hidden-9\n  -----END PRIVATE KEY-----'],
  ['a broken Secret', 'kind: Secret\nstringData:\n  k: hidden-10\n bad: ['],
  ['a broken document', 'apiKey: hidden-11\nm: { token: "hidden-12", x: [}'],
  ['a value in two lines', 'apiKey: "hidden-13\n  hidden-14"'],
]

for (const [title, text] of secrets) {
  test(`no excerpt shows ${title}`, () => {
    const lines = text.split('\n').length
    const { documents, problems } = parseDocuments({ file: 'f', text }, {})
    const places = documents.flatMap((document) =>
      Object.keys(document.value).flatMap((key) => [
        document.place([key]),
        document.place([key, 'k']),
        document.place([key, 'apiKey']),
      ]),
    )
    const shown = JSON.stringify([problems, places])
    assert.ok(lines > 0 && shown.length > 10)
    assert.ok(!shown.includes('hidden'), shown)
  })
}

test('a reference to a variable is no secret and stays in the excerpt', () => {
  const [document] = parseDocuments({ file: 'f', text: 'apiKey: "${KEY}"' }, { KEY: 'hidden' }).documents
  assert.equal(document?.place(['apiKey']).excerpt, 'apiKey: "${KEY}"')
})

test('a directory is read in the order of names, and not what is hidden or deeper', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'config-'))
  t.after(() => rmSync(directory, { recursive: true }))
  mkdirSync(join(directory, '..data'))
  mkdirSync(join(directory, 'deeper.yaml'))
  writeFileSync(join(directory, '..data', 'linked.yaml'), 'name: linked')
  symlinkSync(join('..data', 'linked.yaml'), join(directory, 'linked.yaml'))
  for (const name of ['b.yml', 'a.yaml', 'c.json', 'readme.md', '.hidden.yaml']) {
    writeFileSync(join(directory, name), `{ "name": "${name}" }`)
  }
  const { documents, problems, files } = loadDocuments(directory, {})
  assert.deepEqual(problems, [])
  assert.deepEqual(
    documents.map(({ value }) => value.name),
    ['a.yaml', 'b.yml', 'c.json', 'linked'],
  )
  assert.equal(files.length, 4)
})

test('what cannot be read is a problem that says why', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'config-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const message = (source: string): string =>
    loadDocuments(source, {})
      .problems.map((one) => one.message)
      .join()
  const binary = join(directory, 'binary')
  const big = join(directory, 'big')
  writeFileSync(binary, Buffer.from([0x61, 0xff, 0xfe]))
  writeFileSync(big, Buffer.alloc(5 * 1024 * 1024, 'a'))
  assert.equal(message(binary), `${binary} is not UTF-8 text`)
  assert.equal(message(big), `${big} has 5242880 bytes; at most 4194304 are read`)
  assert.equal(message(directory), `${directory} has no configuration: no file in it ends in .yaml, .yml or .json`)
  assert.equal(message(join(directory, 'gone')), `${join(directory, 'gone')} does not exist`)
  assert.equal(message(join(big, 'x')), `${join(big, 'x')} has a file where its path needs a directory`)
})
