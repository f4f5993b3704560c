import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { confinements, importsOf, layers, maxFileLines, violationsOf } from './architecture.ts'
import { maskSource } from './mask-source.ts'

const root = join(import.meta.dirname, '..')

test('every file of src keeps to the import table and the house rules', () => {
  const paths = globSync('**/*.ts', { cwd: join(root, 'src') }).map((path) => path.replaceAll('\\', '/'))
  assert.ok(paths.length > 0)
  const found = paths.flatMap((path) => violationsOf({ path, text: readFileSync(join(root, 'src', path), 'utf8') }))
  assert.equal(found.toSorted().join('\n'), '')
})

test('every runtime dependency is confined to somewhere', () => {
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: object }
  const confined = new Set(confinements.flatMap(({ modules }) => modules))
  assert.deepEqual(
    Object.keys(dependencies).filter((name) => !confined.has(name)),
    [],
  )
})

test('no layer may import a later one, so the table has no cycle', () => {
  const order = layers.flatMap(({ folders }) => folders)
  for (const { folders, mayImport } of layers) {
    for (const folder of folders) {
      for (const target of mayImport) assert.ok(order.indexOf(target) < order.indexOf(folder), `${folder} -> ${target}`)
    }
  }
})

describe('a planted violation is found', () => {
  const cases = [
    {
      name: 'step imports step',
      path: 'route/x.ts',
      text: "import { a } from '#proxy/a.ts'",
      problem: /route may not import proxy/,
    },
    {
      name: 'type-only import',
      path: 'core/x.ts',
      text: "import type { A } from '#wire/a.ts'",
      problem: /core may not import wire/,
    },
    {
      name: 'inline import type',
      path: 'core/x.ts',
      text: "type A = import('#wire/a.ts').A",
      problem: /core may not import wire/,
    },
    {
      name: 'dynamic import',
      path: 'wire/x.ts',
      text: "const a = await import('#core/a.ts')",
      problem: /wire may not import core/,
    },
    { name: 'side-effect import', path: 'sim/x.ts', text: "import '#wire/a.ts'", problem: /sim may not import wire/ },
    {
      name: 'import over lines',
      path: 'sim/x.ts',
      text: "import {\n  a,\n  b,\n} from '#wire/a.ts'",
      problem: /x\.ts:4: sim/,
    },
    {
      name: 'loop imports step',
      path: 'scraper/x.ts',
      text: "import { a } from '#proxy/a.ts'",
      problem: /scraper may not/,
    },
    {
      name: 'plug-in imports state',
      path: 'plugins/scorer/x.ts',
      text: "import { a } from '#datastore/a.ts'",
      problem: /plugins may/,
    },
    {
      name: 'pipeline imports wiring',
      path: 'pipeline/x.ts',
      text: "import { a } from '#apps/a.ts'",
      problem: /pipeline may/,
    },
    {
      name: 'src imports test',
      path: 'core/x.ts',
      text: "import { a } from '#test/a.ts'",
      problem: /core may not import test/,
    },
    {
      name: 'test beside a step imports a step',
      path: 'route/x.test.ts',
      text: "import '#proxy/a.ts'",
      problem: /route may/,
    },
    {
      name: 'parent import',
      path: 'route/x.ts',
      text: "import { a } from '../core/a.ts'",
      problem: /#folder\/file\.ts/,
    },
    {
      name: 'parent import in disguise',
      path: 'route/x.ts',
      text: "import { a } from './../core/a.ts'",
      problem: /leaves its folder/,
    },
    { name: 'library elsewhere', path: 'route/x.ts', text: "import { z } from 'zod'", problem: /zod is confined to/ },
    {
      name: 'part of a library',
      path: 'route/x.ts',
      text: "import { z } from 'zod/v4'",
      problem: /zod is confined to/,
    },
    {
      name: 'unknown library',
      path: 'cli/x.ts',
      text: "import chalk from 'chalk'",
      problem: /chalk is not in the table/,
    },
    {
      name: 'development tool',
      path: 'cli/x.ts',
      text: "import fc from 'fast-check'",
      problem: /fast-check is not in/,
    },
    {
      name: 'sockets in a service',
      path: 'dialect/x.ts',
      text: "import net from 'node:net'",
      problem: /node:net is confined/,
    },
    {
      name: 'inline type of a system module',
      path: 'dialect/x.ts',
      text: "import { type Socket } from 'node:net'",
      problem: /node:net is confined/,
    },
    { name: 'type of a library', path: 'route/x.ts', text: "import type { z } from 'zod'", problem: /zod is confined/ },
    { name: 'environment', path: 'route/x.ts', text: 'const a = process.env.A', problem: /process\.env is confined/ },
    {
      name: 'imported environment',
      path: 'route/x.ts',
      text: "import { env } from 'node:process'",
      problem: /process\.env is/,
    },
    { name: 'computed import', path: 'config/x.ts', text: 'const a = await import(name)', problem: /computed import/ },
    {
      name: 'folder outside the table',
      path: 'utils/x.ts',
      text: 'export const a = 1',
      problem: /utils is not a folder/,
    },
    { name: 'file outside folders', path: 'x.ts', text: 'export const a = 1', problem: /is not a folder/ },
    { name: 'file name', path: 'core/fooBar.ts', text: 'export const a = 1', problem: /kebab-case/ },
    { name: 'default export', path: 'core/x.ts', text: 'export default 1', problem: /default export/ },
    { name: 're-export', path: 'core/x.ts', text: "export { a } from './a.ts'", problem: /re-export/ },
    { name: 're-export of types', path: 'core/x.ts', text: "export type { a } from './a.ts'", problem: /re-export/ },
    { name: 're-export of all', path: 'core/x.ts', text: "export * from './a.ts'", problem: /re-export/ },
    { name: 'index file', path: 'core/index.ts', text: 'export const a = 1', problem: /barrel/ },
    { name: 'module-level let', path: 'core/x.ts', text: 'let count = 0', problem: /module-level variable/ },
    { name: 'exported let', path: 'core/x.ts', text: 'export let count = 0', problem: /module-level variable/ },
    {
      name: 'module-level map',
      path: 'core/x.ts',
      text: 'const seen = new Map<string, number>()',
      problem: /collection/,
    },
    {
      name: 'typed module-level map',
      path: 'core/x.ts',
      text: 'const seen: Map<string, A> = new Map()',
      problem: /collection/,
    },
    { name: 'non-null call', path: 'core/x.ts', text: 'const a = find()!.b', problem: /narrow the type/ },
    { name: 'non-null name', path: 'core/x.ts', text: 'f(a!)', problem: /narrow the type/ },
    { name: 'inheritance', path: 'core/x.ts', text: 'export class A extends EventEmitter {}', problem: /inheritance/ },
    {
      name: 'long file',
      path: 'core/x.ts',
      text: 'export const a = 1\n'.repeat(maxFileLines + 1),
      problem: /501 lines/,
    },
  ] satisfies { name: string; path: string; text: string; problem: RegExp }[]
  for (const { name, path, text, problem } of cases) {
    test(name, () => {
      const found = violationsOf({ path, text })
      assert.equal(found.length, 1, found.join('\n'))
      assert.match(found[0] ?? '', problem)
    })
  }
})

describe('allowed code passes', () => {
  const cases = [
    {
      name: 'a step imports leaves, contracts, services and state',
      path: 'proxy/x.ts',
      text: "import '#core/a.ts'\nimport '#config/a.ts'",
    },
    {
      name: 'an import in a comment',
      path: 'core/x.ts',
      text: "// import { a } from '#apps/a.ts'\n/* from '#apps/a.ts' */",
    },
    { name: 'an import in a string', path: 'core/x.ts', text: 'const a = "import { a } from \'#apps/a.ts\'"' },
    {
      name: 'an import in a template',
      path: 'core/x.ts',
      text: "const a = `import '#apps/a.ts' ${b({ c: `}` })} from '#apps/a.ts'`",
    },
    {
      name: 'quotes in a regular expression',
      path: 'core/x.ts',
      text: 'const a = /[\'"]/.test(b) || c / d / e\nconst f = "from \'#apps/a.ts\'"',
    },
    { name: 'a type of a system module', path: 'observe/x.ts', text: "import type { AddressInfo } from 'node:net'" },
    { name: 'a confined library at home', path: 'config/x.ts', text: "import { z } from 'zod'" },
    { name: 'the environment at home', path: 'config/load.ts', text: 'export const a = process.env.A' },
    { name: 'a test tool in a test', path: 'core/x.test.ts', text: "import fc from 'fast-check'\nlet count = 0" },
    { name: 'the list of plug-ins', path: 'plugins/index.ts', text: "export { a } from './scorer/a.ts'" },
    {
      name: 'a filled table',
      path: 'core/x.ts',
      text: 'const byName = new Map([["a", 1]])\nconst s: ReadonlySet<string> = new Set()',
    },
    {
      name: 'an index in a loop, inequality, negation',
      path: 'core/x.ts',
      text: 'const a = b[i]! + (c !== d ? 1 : 0)\nif (!e && f != g) h()',
    },
    {
      name: 'an error class',
      path: 'core/x.ts',
      text: 'export class Fault extends Error {}\nclass Slow extends Fault {}',
    },
    { name: 'generated code', path: 'wire/gen/x.ts', text: 'export default 1' },
    { name: 'a local let', path: 'core/x.ts', text: 'export function f() {\n  let a = 0\n  return a\n}' },
  ] satisfies { name: string; path: string; text: string }[]
  for (const { name, path, text } of cases) {
    test(name, () => assert.deepEqual(violationsOf({ path, text }), []))
  }
})

test('imports are listed with their specifiers', () => {
  const text =
    "import a from 'a'\nimport type { B } from \"#b/b.ts\"\nconst c = import('c')\nexport { d } from './d.ts'\n"
  assert.deepEqual(
    importsOf(text).map(({ specifier, isTypeOnly }) => [specifier, isTypeOnly]),
    [
      ['a', false],
      ['#b/b.ts', true],
      ['c', false],
      ['./d.ts', false],
    ],
  )
})

test('masking keeps offsets and line breaks', () => {
  const text = "a /* x\ny */ 'str' `t${'in'}t`; /re'/g // end"
  const { code, strings } = maskSource(text)
  assert.equal(code.length, text.length)
  assert.equal(code, "a     \n     '   ' ` ${'  '} `;                ".slice(0, code.length))
  assert.deepEqual([...strings.values()], ['str', 'in'])
})
