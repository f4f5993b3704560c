import { type Document, isAlias, isMap, isPair, isScalar, isSeq, type LineCounter, type Node, type Pair } from 'yaml'
import { type ConfigProblem, formatPath, type KeyPath, type SourcePlace } from './problem.ts'

/** Whether a problem is with a key or with its value. */
export type Spot = 'key' | 'value'

/** A mapping without `apiVersion` and `kind` is the short form; with them it is a Kubernetes manifest. */
export interface ManifestKind {
  readonly apiVersion: string
  readonly kind: string
}

/** One document of a configuration, as plain data with the places it came from. */
export interface ConfigDocument {
  readonly file: string
  /** Undefined for the short form. */
  readonly manifest: ManifestKind | undefined
  /** The mapping, with environment variables put in. */
  readonly value: Readonly<Record<string, unknown>>
  /** Where the value (or key) at a path stands; the nearest that exists when it does not. */
  place(path: KeyPath, spot?: Spot): SourcePlace
}

/** A file's lines, for excerpts. */
export interface SourceLines {
  readonly file: string
  /** The text with secrets blanked, of the same length in every line. */
  readonly masked: readonly string[]
  readonly counter: LineCounter
}

/** What a problem may carry beside its message. */
export interface ProblemDetails {
  readonly hint?: string | undefined
  readonly spot?: Spot
}

/** Makes a problem at a path of a document. */
export function problemAt(
  document: ConfigDocument,
  path: KeyPath,
  message: string,
  details: ProblemDetails = {},
): ConfigProblem {
  const problem = { ...document.place(path, details.spot), path: formatPath(path), message }
  return details.hint === undefined ? problem : { ...problem, hint: details.hint }
}

/** Turns a range of offsets into a place; the width ends with the line. */
export function placeOf(lines: SourceLines, start: number, end: number): SourcePlace {
  const { line, col } = lines.counter.linePos(start)
  const excerpt = (lines.masked[line - 1] ?? '').trimEnd()
  const width = Math.max(1, Math.min(end - start, excerpt.length - col + 1))
  return { file: lines.file, line, column: Math.max(1, col), width, excerpt }
}

/** A document of a file, from its syntax tree; `under` leads to the item that counts as the document (lists of objects). */
export function configDocument(tree: Document, lines: SourceLines, value: object, under: KeyPath = []): ConfigDocument {
  const record = value as Readonly<Record<string, unknown>>
  const { apiVersion, kind } = record
  const isManifest = apiVersion !== undefined || kind !== undefined
  const text = (part: unknown): string => (typeof part === 'string' ? part : '')
  return {
    file: lines.file,
    manifest: isManifest ? { apiVersion: text(apiVersion), kind: text(kind) } : undefined,
    value: record,
    place(path, spot = 'value') {
      const [start, end] = rangeOf(tree, [...under, ...path], spot)
      return placeOf(lines, start, end)
    },
  }
}

function rangeOf(tree: Document, path: KeyPath, spot: Spot): readonly [number, number] {
  let node: unknown = tree.contents
  let range = startRange(node) ?? [0, 1]
  for (const [depth, key] of path.entries()) {
    const found = child(tree, node, key)
    if (found === undefined) return range
    const isLast = depth === path.length - 1
    const own = isPair(found) ? pairRange(found, isLast ? spot : 'key') : startRange(found)
    range = own ?? range
    node = isPair(found) ? found.value : found
  }
  return range
}

/** Of a pair its key or its value; a value that was left out is shown by its key. */
function pairRange({ key, value }: Pair, spot: Spot): readonly [number, number] | undefined {
  const range = spot === 'value' ? startRange(value) : undefined
  return range === undefined || range[0] === range[1] ? startRange(key) : range
}

/** A scalar's own range; of a mapping or list only where it begins. */
function startRange(node: unknown): readonly [number, number] | undefined {
  const range = (node as Node | null)?.range
  if (range === null || range === undefined) return undefined
  return isScalar(node) || isAlias(node) ? [range[0], range[1]] : [range[0], range[0] + 1]
}

/** The pair or item under a key, through aliases and merge keys. */
function child(tree: Document, parent: unknown, key: string | number): Pair | Node | undefined {
  const node = isAlias(parent) ? parent.resolve(tree) : parent
  if (isSeq(node)) return typeof key === 'number' ? (node.items[key] as Node | undefined) : undefined
  if (!isMap(node)) return undefined
  const direct = node.items.find((pair) => keyText(pair) === String(key))
  if (direct !== undefined) return direct
  for (const pair of node.items) {
    if (keyText(pair) !== '<<') continue
    const merged = isAlias(pair.value) ? pair.value.resolve(tree) : pair.value
    for (const source of isSeq(merged) ? merged.items : [merged]) {
      const found = source === node ? undefined : child(tree, source, key)
      if (found !== undefined) return found
    }
  }
  return undefined
}

/** The text of a key; the parser makes a symbol of the merge key. */
function keyText({ key }: Pair): string {
  const value: unknown = isScalar(key) ? key.value : key
  return typeof value === 'symbol' ? (value.description ?? '') : String(value)
}
