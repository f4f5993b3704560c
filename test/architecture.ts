/**
 * The import table: which folder of src/ may import which, and which library or system module is confined to where.
 * test/architecture.test.ts enforces it on every file; ARCHITECTURE.md shows it (scripts/generate/import-table.ts).
 */
import { maskSource } from './mask-source.ts'

export interface Layer {
  readonly name: string
  readonly folders: readonly string[]
  /** Folders these folders may import, besides themselves. Never one another, unless named. */
  readonly mayImport: readonly string[]
}

export interface Confinement {
  readonly modules: readonly string[]
  /** Folders of src/, or single files written as `folder/file.ts`. */
  readonly to: readonly string[]
}

export interface SourceFile {
  /** Relative to src/, with forward slashes. */
  readonly path: string
  readonly text: string
}

const leaves = ['core', 'struct', 'wire']
const base = [...leaves, 'contracts']
const services = ['dialect', 'observe', 'kube']
const state = ['config', 'datastore']
const steps = ['listen', 'parse', 'authenticate', 'limit', 'route', 'admit', 'schedule', 'proxy']
const loops = ['scraper', 'controller']

export const layers: readonly Layer[] = [
  { name: 'leaves', folders: ['core', 'struct'], mayImport: [] },
  { name: 'leaves', folders: ['wire'], mayImport: ['struct'] },
  { name: 'contracts', folders: ['contracts'], mayImport: ['core'] },
  { name: 'services', folders: services, mayImport: base },
  { name: 'state', folders: ['config'], mayImport: [...base, 'observe'] },
  { name: 'state', folders: ['datastore'], mayImport: [...base, 'observe', 'config'] },
  { name: 'steps', folders: steps, mayImport: [...base, ...services, ...state] },
  { name: 'loops', folders: loops, mayImport: [...base, ...services, ...state] },
  { name: 'plug-ins', folders: ['plugins'], mayImport: base },
  { name: 'composition', folders: ['pipeline'], mayImport: [...base, 'dialect', 'observe', ...state, ...steps] },
  { name: 'simulator', folders: ['sim'], mayImport: ['core', 'struct'] },
  {
    name: 'laboratory',
    folders: ['lab'],
    mayImport: ['core', 'struct', 'contracts', 'sim', 'schedule', 'scraper', 'plugins', 'datastore', 'config'],
  },
  {
    name: 'wiring',
    folders: ['apps'],
    mayImport: [...base, ...services, ...state, ...steps, ...loops, 'plugins', 'pipeline', 'sim', 'lab'],
  },
  { name: 'front', folders: ['cli'], mayImport: ['core', 'observe', 'config', 'apps'] },
]

const socketFolders = ['listen', 'proxy', 'kube', 'scraper', 'sim']

/** A module that is neither here nor part of Node may not be imported at all: a new library needs a decision record. */
export const confinements: readonly Confinement[] = [
  { modules: ['node:net'], to: [...socketFolders, 'config/schema/scalars.ts'] },
  { modules: ['node:tls', 'node:http2', 'node:https'], to: socketFolders },
  { modules: ['node:http'], to: [...socketFolders, 'observe', 'apps'] },
  { modules: ['undici'], to: ['proxy', 'kube', 'scraper'] },
  { modules: ['zod'], to: ['config', 'contracts', 'plugins'] },
  { modules: ['yaml'], to: ['config'] },
  { modules: ['re2js'], to: ['config', 'controller', 'route'] },
  { modules: ['pino', 'prom-client'], to: ['observe'] },
  { modules: ['commander'], to: ['cli'] },
  { modules: ['zeromq'], to: ['sim/kv-events', 'scraper/kv-events'] },
  { modules: ['@msgpack/msgpack'], to: ['scraper/kv-events'] },
  { modules: ['process.env'], to: ['cli', 'config/load.ts'] },
]

interface Import {
  readonly specifier: string
  /** Of the opening quote. */
  readonly offset: number
  /** Whether it says `import type`; false for a list of inline types. */
  readonly isTypeOnly: boolean
}

export const maxFileLines = 500
const barrelAllowed = 'plugins/index.ts'

const allowedFrom: ReadonlyMap<string, ReadonlySet<string>> = new Map(
  layers.flatMap((layer) => layer.folders.map((folder) => [folder, new Set([folder, ...layer.mayImport])] as const)),
)

function isWithin(path: string, places: readonly string[]): boolean {
  return places.some((place) => path === place || path.startsWith(`${place}/`))
}

/** What is wrong with one import of one file; undefined when nothing is. */
function importProblem(file: SourceFile, { specifier, isTypeOnly }: Import): string | undefined {
  const isTest = file.path.endsWith('.test.ts')
  const folder = file.path.split('/')[0] ?? ''
  if (specifier.startsWith('./')) {
    return specifier.includes('/../') ? `'${specifier}' leaves its folder: import #folder/file.ts` : undefined
  }
  if (specifier.startsWith('.') || specifier.startsWith('/'))
    return `'${specifier}': import another folder as #folder/file.ts`
  if (specifier.startsWith('#')) {
    const target = specifier.slice(1).split('/')[0] ?? ''
    if (allowedFrom.get(folder)?.has(target)) return undefined
    return `${folder} may not import ${target} ('${specifier}')`
  }
  // A type of a system module opens no socket and reads nothing; a library's type still binds us to the library.
  if (isTest || (isTypeOnly && specifier.startsWith('node:'))) return undefined
  const name = specifier.startsWith('@') ? specifier.split('/', 2).join('/') : (specifier.split('/')[0] ?? '')
  const confined = confinements.find(({ modules }) => modules.includes(name))
  if (confined) return isWithin(file.path, confined.to) ? undefined : `${name} is confined to ${confined.to.join(', ')}`
  return specifier.startsWith('node:') ? undefined : `${name} is not in the table of libraries`
}

/** House rules that a pattern over the masked source (no comments, no string contents) can see. */
const patterns: readonly { readonly pattern: RegExp; readonly problem: string; readonly except?: readonly string[] }[] =
  [
    { pattern: /^export default\b/gm, problem: 'default export: name it' },
    {
      pattern: /^export\s+(?:type\s+)?(?:\*|\{[^}]*\})[^\n]*\bfrom\b/gm,
      problem: 're-export: import from the file that declares it',
      except: [barrelAllowed],
    },
    {
      pattern: /^(?:export\s+)?(?:let|var)\s/gm,
      problem: 'module-level variable: state lives in an object with an owner',
    },
    {
      pattern:
        /^(?:export\s+)?const\s+\w+(?:\s*:(?!\s*Readonly)[^=\n]+)?\s*=\s*new\s+(?:Weak)?(?:Map|Set)(?:<[^\n]*>)?\(\)/gm,
      problem: 'module-level collection that can only be filled later: state lives in an object with an owner',
    },
    { pattern: /[\w$)]!(?!=)/g, problem: "'!' is for an index in a bounded loop (x[i]!): narrow the type instead" },
    {
      pattern: /\bclass\b[^{\n]*\bextends\s+(?!\w*(?:Error|Fault)\b)/g,
      problem: 'inheritance: only errors extend a class',
    },
    { pattern: /\bimport\s*\(\s*(?!['"\s])/g, problem: 'computed import', except: ['apps'] },
  ]

function lineOf(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length
}

/** Every import of a source, static and dynamic, types included. */
export function importsOf(text: string): readonly Import[] {
  const { code, strings } = maskSource(text)
  return [...code.matchAll(/(?:\bfrom|\bimport|\bimport\s*\()\s*(?=['"])/g)].map((match) => {
    const offset = match.index + match[0].length
    const isTypeOnly = /^import\s+type\s/.test(code.slice(code.lastIndexOf('import', offset), offset))
    return { specifier: strings.get(offset) ?? '', offset, isTypeOnly }
  })
}

function pathProblems(file: SourceFile): string[] {
  const folder = file.path.split('/')[0] ?? ''
  const name = file.path.split('/').at(-1) ?? ''
  const lines = file.text.split('\n').length - 1
  const problems: string[] = []
  if (!allowedFrom.has(folder) || !file.path.includes('/'))
    problems.push(`${folder} is not a folder of the import table`)
  if (!/^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.test)?\.ts$/.test(name)) problems.push('file names are kebab-case')
  if (name === 'index.ts' && file.path !== barrelAllowed) problems.push('barrel: only plugins/index.ts is one')
  if (lines > maxFileLines) problems.push(`${lines} lines; the limit is ${maxFileLines}`)
  return problems.map((problem) => `${file.path}: ${problem}`)
}

/** Everything in one file that breaks the table or a house rule, as `path:line: problem`. Generated code is exempt. */
export function violationsOf(file: SourceFile): string[] {
  if (file.path.includes('/gen/')) return []
  const at = (offset: number, problem: string): string => `${file.path}:${lineOf(file.text, offset)}: ${problem}`
  const { code } = maskSource(file.text)
  const imports = importsOf(file.text).flatMap((found) => {
    const problem = importProblem(file, found)
    return problem === undefined ? [] : [at(found.offset, problem)]
  })
  if (file.path.endsWith('.test.ts')) return [...pathProblems(file), ...imports]
  const rules = patterns
    .filter(({ except }) => !isWithin(file.path, except ?? []))
    .flatMap(({ pattern, problem }) => [...code.matchAll(pattern)].map((match) => at(match.index, problem)))
  const environment = confinements.find(({ modules }) => modules.includes('process.env'))?.to ?? []
  const reads = isWithin(file.path, environment)
    ? []
    : [...code.matchAll(/\bprocess\s*\.\s*env\b|\benv\b[^\n]*\bfrom\b/g)]
  return [
    ...pathProblems(file),
    ...imports,
    ...rules,
    ...reads.map((match) => at(match.index, `process.env is confined to ${environment.join(', ')}`)),
  ]
}
