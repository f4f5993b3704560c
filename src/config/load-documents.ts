import { type Document, isMap, isScalar, isSeq, LineCounter, parseAllDocuments, type Scalar, visit } from 'yaml'
import { type ConfigDocument, configDocument, placeOf, type SourceLines } from './config-document.ts'
import { maskSecrets } from './mask-secrets.ts'
import { type ConfigProblem, formatPath, type KeyPath } from './problem.ts'
import { readSource, type SourceText } from './read-source.ts'
import { withEmbedded } from './router-configuration.ts'
import { type Env, substituteEnv } from './substitute-env.ts'

/** Aliases may repeat what they name this often before the file counts as an attack. */
const maxAliasCount = 100

/** Most documents of one source. */
const maxDocuments = 20_000

/** A configuration as read: its documents in order of file name and position. */
export interface Documents {
  readonly documents: readonly ConfigDocument[]
  /** Whatever kept a file or a document from being among them. */
  readonly problems: readonly ConfigProblem[]
  /** Files read, to be watched. */
  readonly files: readonly string[]
  /** Names of environment variables by the value that was put in: to be hidden in messages (substitute-env.ts). */
  readonly used: ReadonlyMap<string, string>
}

interface Collected {
  readonly documents: ConfigDocument[]
  readonly problems: ConfigProblem[]
  readonly used: Map<string, string>
}

/** Reads a file or directory (read-source.ts) of YAML or JSON documents. `env` is what `${NAME}` stands for. */
export function loadDocuments(source: string, env: Env): Documents {
  const { texts, problems } = readSource(source)
  const parsed = texts.map((text) => parseDocuments(text, env))
  return {
    documents: parsed.flatMap(({ documents }) => documents).slice(0, maxDocuments),
    problems: [...problems, ...parsed.flatMap((one) => one.problems)],
    files: texts.map(({ file }) => file),
    used: new Map(parsed.flatMap(({ used }) => [...used])),
  }
}

/**
 * The documents of one text: lists of Kubernetes objects (`kind: List`) count as their items, ConfigMaps as the
 * configurations in them.
 */
export function parseDocuments(source: SourceText, env: Env): Documents {
  // Texts inside of ConfigMaps are of the cluster: variables of this process mean nothing there.
  return withEmbedded(parsePlain(source, env), (inner) => parsePlain(inner, {}))
}

function parsePlain({ file, text }: SourceText, env: Env): Documents {
  const counter = new LineCounter()
  const options = { lineCounter: counter, merge: true, prettyErrors: false, logLevel: 'silent' } as const
  const stream = parseAllDocuments(text, options)
  const trees: readonly Document[] = Array.isArray(stream) ? stream : []
  const lines: SourceLines = { file, masked: maskSecrets(text, trees), counter }
  const collected: Collected = { documents: [], problems: [], used: new Map() }
  for (const tree of trees) readTree(tree, lines, env, collected)
  return { ...collected, files: [file] }
}

function readTree(tree: Document, lines: SourceLines, env: Env, into: Collected): void {
  const { contents, errors } = tree
  into.problems.push(...errors.slice(0, 5).map((error) => syntaxProblem(error, lines)))
  if (errors.length > 0 || contents === null || (isScalar(contents) && contents.value === null)) return
  const complain = (message: string): void => {
    const [start, end] = contents.range ?? [0, 0]
    into.problems.push({ ...placeOf(lines, start, isMap(contents) ? start : end), path: '', message })
  }
  if (!isMap(contents)) {
    complain(`a document is a mapping of keys to values, not ${isSeq(contents) ? 'a list' : 'a plain value'}`)
    return
  }
  if (takesVariables(contents.get('apiVersion'), contents.get('kind'))) substitute(tree, lines, env, into)
  const value = plainData(tree)
  if (typeof value === 'string') complain(value)
  else into.documents.push(...expandLists(tree, lines, value))
}

/** The document without its syntax, or why it cannot be had. */
function plainData(tree: Document): object | string {
  try {
    return tree.toJS({ maxAliasCount }) as object
  } catch (error) {
    const isBomb = error instanceof ReferenceError && error.message.includes('Excessive')
    return isBomb ? `aliases multiply this document more than ${maxAliasCount} times` : String(error)
  }
}

/** Objects copied from a cluster carry shell scripts and templates whose `${...}` is none of ours. */
function takesVariables(apiVersion: unknown, kind: unknown): boolean {
  if (apiVersion === undefined && kind === undefined) return true
  if (kind === 'Secret') return true
  return typeof apiVersion === 'string' && apiVersion.startsWith('networking.serving.volcano.sh/')
}

function expandLists(tree: Document, lines: SourceLines, value: object): ConfigDocument[] {
  const { kind, items } = value as { readonly kind?: unknown; readonly items?: unknown }
  if (typeof kind !== 'string' || !kind.endsWith('List') || !Array.isArray(items)) {
    return [configDocument(tree, lines, value)]
  }
  const isObject = (item: unknown): item is object => typeof item === 'object' && item !== null && !Array.isArray(item)
  return items.flatMap((item: unknown, index) =>
    isObject(item) ? [configDocument(tree, lines, item, ['items', index])] : [],
  )
}

/** Plainer words for the mistakes that are made most. */
const syntaxHints: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: 'indent with blanks',
  DUPLICATE_KEY: 'remove one of the two, or join their values',
  BAD_INDENT: 'keys of one mapping begin in the same column',
  MISSING_CHAR: 'a quote or bracket was opened and not closed, or a comma or blank is missing',
  BLOCK_AS_IMPLICIT_KEY: 'put the value in quotes when it holds a colon and a blank',
  MULTILINE_IMPLICIT_KEY: 'a colon is missing after a key, or a quote was not closed',
}

function syntaxProblem(
  error: { readonly code: string; readonly message: string; readonly pos: readonly [number, number] },
  lines: SourceLines,
): ConfigProblem {
  const place = placeOf(lines, error.pos[0], error.pos[1])
  const [first = ''] = error.message.split('\n')
  const message = error.code === 'DUPLICATE_KEY' ? 'this key stands here a second time' : sentence(first)
  const problem = { ...place, path: '', message: `not valid YAML: ${message}` }
  const hint = syntaxHints[error.code]
  return hint === undefined ? problem : { ...problem, hint }
}

/** The parser's own words, without the place that they repeat and without text of the file, which may be a secret. */
function sentence(message: string): string {
  const words = message.replace(/ at line \d+, column \d+:?$/, '').replace(/: .*$/s, '')
  return words.charAt(0).toLowerCase() + words.slice(1)
}

function substitute(tree: Document, lines: SourceLines, env: Env, into: Collected): void {
  visit(tree, {
    Scalar(key, node: Scalar, ancestors) {
      if (key === 'key' || typeof node.value !== 'string' || !node.value.includes('${')) return
      const result = substituteEnv(node.value, env)
      if ('fails' in result) {
        const place = placeOf(lines, node.range?.[0] ?? 0, node.range?.[1] ?? 0)
        const path = formatPath(pathTo(ancestors, key))
        into.problems.push({ ...place, path, message: result.fails, hint: result.hint })
        return
      }
      for (const { name, value } of result.used) into.used.set(value, name)
      node.value = result.text
    },
  })
}

function pathTo(ancestors: readonly unknown[], key: unknown): KeyPath {
  const path: (string | number)[] = []
  for (const [depth, node] of ancestors.entries()) {
    if (isSeq(node)) {
      const next = ancestors[depth + 1]
      path.push(next === undefined ? Number(key) : node.items.indexOf(next))
    } else if (typeof node === 'object' && node !== null && 'key' in node && isScalar(node.key)) {
      path.push(String(node.key.value))
    }
  }
  return path
}
