import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hideValues, substituteEnv } from './substitute-env.ts'

const env = { KEY: 'sk-1', EMPTY: '', NESTED: '${KEY}' }

const good: readonly (readonly [string, string])[] = [
  ['', ''],
  ['plain $ and $KEY and {KEY}', 'plain $ and $KEY and {KEY}'],
  ['${KEY}', 'sk-1'],
  ['a${KEY}b${KEY}', 'ask-1bsk-1'],
  ['${EMPTY}', ''],
  ['${EMPTY:-x}', 'x'],
  ['${GONE:-x:-y}', 'x:-y'],
  ['${GONE:-}', ''],
  ['$${KEY}', '${KEY}'],
  ['$$${KEY}', '$${KEY}'],
  ['${NESTED}', '${KEY}'],
]

for (const [text, wanted] of good) {
  test(`'${text}' becomes '${wanted}'`, () => {
    const result = substituteEnv(text, env)
    assert.equal('text' in result ? result.text : result.fails, wanted)
  })
}

const bad: readonly (readonly [string, string])[] = [
  ['${GONE}', 'environment variable GONE is not set'],
  ['x${KEY', "'${' without its '}'"],
  ['${1A}', "'${1A}' names no variable"],
  ['${}', "'${}' names no variable"],
  ['${A B}', "'${A B}' names no variable"],
]

for (const [text, wanted] of bad) {
  test(`'${text}' is refused`, () => {
    const result = substituteEnv(text, env)
    assert.equal('fails' in result ? result.fails : result.text, wanted)
  })
}

test('values of the environment are hidden in messages, the longest first', () => {
  const used = new Map([
    ['secret', 'A'],
    ['secret-longer', 'B'],
    ['80', 'PORT'],
  ])
  assert.equal(hideValues("'http://secret-longer:80' and 'secret'", used), "'http://${B}:80' and '${A}'")
})
