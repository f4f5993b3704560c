import assert from 'node:assert/strict'
import { test } from 'node:test'
import { problemAt } from './config-document.ts'
import { parseDocuments } from './load-documents.ts'
import { type ConfigProblem, fileProblem, formatPath, sortProblems } from './problem.ts'
import { renderProblems } from './render-problems.ts'

function problem(text: string, path: (string | number)[], hint?: string): ConfigProblem {
  const [document] = parseDocuments({ file: 'gateway.yaml', text }, {}).documents
  assert.ok(document !== undefined)
  return problemAt(document, path, 'this is wrong', { spot: 'key', hint })
}

test('a problem is drawn with its line, a caret for every character, and a hint', () => {
  const text = 'models:\n  llama:\n    endpoint: [http://10.0.0.1:8000]\n'
  assert.equal(
    renderProblems([problem(text, ['models', 'llama', 'endpoint'], "did you mean 'endpoints'?")]),
    `error: this is wrong
 --> gateway.yaml:3:5  models.llama.endpoint
3 |     endpoint: [http://10.0.0.1:8000]
  |     ^^^^^^^^
  = did you mean 'endpoints'?`,
  )
})

test('the gutter is as wide as the line number; two problems are a blank line apart', () => {
  const text = `${'\n'.repeat(11)}a: 1`
  const one = problem(text, ['a'])
  assert.equal(
    renderProblems([one, fileProblem('x.yaml', 'x.yaml does not exist')], { severity: 'warning' }),
    `warning: this is wrong
  --> gateway.yaml:12:1  a
12 | a: 1
   | ^

warning: x.yaml does not exist
 --> x.yaml`,
  )
})

test('a long line is cut around the place', () => {
  const text = `{ ${'"x": "y", '.repeat(0)}"pad": "${'p'.repeat(300)}", "here": 1, "more": "${'q'.repeat(300)}" }`
  const [, , line = '', carets = ''] = renderProblems([problem(text, ['here'])]).split('\n')
  assert.ok(line.length < 130, line)
  assert.equal(line.slice(carets.indexOf('^'), carets.lastIndexOf('^') + 1), '"here"')
})

test('control characters of a file never reach the terminal', () => {
  const hostile: ConfigProblem = {
    ...fileProblem('f', 'bad \u001b[31mred\u001b[0m'),
    line: 1,
    column: 1,
    excerpt: 'a: \u001b]0;title\u0007\t\u202e',
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  assert.ok(!/[\u0000-\u0009\u000b-\u001f\u202e]/.test(renderProblems([hostile])))
})

test('colours are used when asked for, and a long list ends with a count', () => {
  assert.ok(renderProblems([fileProblem('f', 'x')], { color: true }).startsWith('\u001b[1;31merror:\u001b[0m'))
  const many = Array.from({ length: 130 }, (_, index) => fileProblem('f', `problem ${index}`))
  assert.ok(renderProblems(many).endsWith('problem 99\n --> f\n\n... and 30 more'))
})

test('paths are written as in code; odd keys stand in brackets', () => {
  assert.equal(formatPath(['models', 'llama-3.1', 'endpoints', 1]), 'models["llama-3.1"].endpoints[1]')
  assert.equal(formatPath(['models', 'llama', 'endpoints', 1]), 'models.llama.endpoints[1]')
  assert.equal(formatPath([]), '')
})

test('problems are sorted by place, and each is told once', () => {
  const at = (file: string, line: number, column: number): ConfigProblem => ({
    ...fileProblem(file, 'm'),
    line,
    column,
  })
  const sorted = sortProblems([at('b', 1, 1), at('a', 10, 1), at('a', 2, 5), at('a', 2, 1), at('a', 2, 5)])
  assert.deepEqual(
    sorted.map(({ file, line, column }) => `${file}:${line}:${column}`),
    ['a:2:1', 'a:2:5', 'a:10:1', 'b:1:1'],
  )
})
