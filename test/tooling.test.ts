import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { missingEntries, platformFromName } from '#scripts/complete-lockfile.ts'
import { markdownTable, replaceMarked } from '#scripts/generate/generator.ts'

const root = join(import.meta.dirname, '..')
const readJson = (file: string): unknown => JSON.parse(readFileSync(join(root, file), 'utf8'))

test('the lockfile has every platform package, so npm ci accepts it everywhere', () => {
  const lock = readJson('package-lock.json') as Parameters<typeof missingEntries>[0]
  assert.deepEqual([...missingEntries(lock).keys()], [], "run 'npm run lockfile'")
})

test('the lockfile names no registry', () => {
  assert.doesNotMatch(readFileSync(join(root, 'package-lock.json'), 'utf8'), /"resolved"/)
})

test('every dependency is pinned to one version', () => {
  const manifest = readJson('package.json') as Record<string, Record<string, string>>
  const versions = ['dependencies', 'devDependencies', 'optionalDependencies'].flatMap((kind) =>
    Object.entries(manifest[kind] ?? {}),
  )
  const loose = versions.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))
  assert.deepEqual(loose, [])
})

test('a platform package tells its platform by its name', () => {
  const cases = [
    ['@biomejs/cli-darwin-arm64', { os: ['darwin'], cpu: ['arm64'] }],
    ['@biomejs/cli-linux-x64-musl', { os: ['linux'], cpu: ['x64'], libc: ['musl'] }],
    ['@oxlint/binding-linux-arm-gnueabihf', { os: ['linux'], cpu: ['arm'], libc: ['glibc'] }],
    ['@oxlint/binding-win32-x64-msvc', { os: ['win32'], cpu: ['x64'] }],
    ['@oxlint-tsgolint/darwin-x64', { os: ['darwin'], cpu: ['x64'] }],
    ['fsevents', undefined],
  ] as const
  for (const [name, platform] of cases) assert.deepEqual(platformFromName(name), platform, name)
})

test('a lockfile without a platform package is completed, nested or not', () => {
  const owner = { dev: true, optionalDependencies: { 'x-linux-x64': '1.0.0', 'x-win32-x64': '1.0.0' } }
  const packages = { 'node_modules/x': owner, 'node_modules/x/node_modules/x-linux-x64': { version: '1.0.0' } }
  assert.deepEqual(
    [...missingEntries({ packages })],
    [['node_modules/x-win32-x64', { version: '1.0.0', os: ['win32'], cpu: ['x64'], dev: true, optional: true }]],
  )
})

test('a generated part replaces what is between its markers and nothing else', () => {
  const text = 'a\n<!-- generated:m -->\nold\n<!-- /generated:m -->\nb\n'
  assert.equal(replaceMarked(text, 'm', 'new\n'), 'a\n<!-- generated:m -->\nnew\n<!-- /generated:m -->\nb\n')
  assert.equal(replaceMarked(text, 'other', 'new\n'), undefined)
  assert.equal(replaceMarked(text + text, 'm', 'new\n'), undefined)
})

test('a Markdown table has a head, a rule and the rows', () => {
  assert.equal(markdownTable(['a', 'b'], [['1', '2']]), '| a | b |\n| --- | --- |\n| 1 | 2 |')
})
