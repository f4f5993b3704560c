import type { ConfigDocument, ManifestKind } from './config-document.ts'
import type { Documents } from './load-documents.ts'
import type { SourceText } from './read-source.ts'

/** What a document of Kthena's router configuration counts as: it has neither `apiVersion` nor `kind`. */
export const routerConfiguration: ManifestKind = { apiVersion: '', kind: 'RouterConfiguration' }

/** Key of the ConfigMap that the file is mounted from (kthena-router.md 4.2). */
const configMapKey = 'routerConfiguration'

const keys: ReadonlySet<string> = new Set(['scheduler', 'auth'])

/** Whether a mapping is a router configuration: the short form has no `scheduler.plugins`. */
function isRouterConfiguration(value: Readonly<Record<string, unknown>>): boolean {
  const { scheduler } = value
  if (!Object.keys(value).every((key) => keys.has(key)) || typeof scheduler !== 'object' || scheduler === null) {
    return false
  }
  return 'plugins' in scheduler || 'pluginConfig' in scheduler
}

/**
 * The documents with router configurations told from the short form, and ConfigMaps replaced by the configurations in them:
 * a router configuration under its key, or objects of an `apiVersion` of inference gateways. `parse` reads the text of one.
 */
export function withEmbedded(documents: Documents, parse: (source: SourceText) => Documents): Documents {
  const problems = [...documents.problems]
  const expanded = documents.documents.flatMap((document) => {
    const { manifest, value } = document
    if (manifest === undefined) {
      return [isRouterConfiguration(value) ? { ...document, manifest: routerConfiguration } : document]
    }
    if (manifest.kind !== 'ConfigMap') return [document]
    const inner = embeddedIn(document, parse)
    problems.push(...inner.flatMap((one) => one.problems))
    const found = inner.flatMap((one) => one.documents)
    return found.length === 0 ? [document] : found
  })
  return { ...documents, documents: expanded, problems }
}

function embeddedIn(map: ConfigDocument, parse: (source: SourceText) => Documents): Documents[] {
  const { data } = map.value
  if (typeof data !== 'object' || data === null) return []
  return Object.entries(data).flatMap(([key, text]: [string, unknown]) => {
    if (typeof text !== 'string') return []
    const isRouter = key === configMapKey
    if (!isRouter && !/^kind:\s*EndpointPickerConfig\s*$/m.test(text)) return []
    const outer = map.place(['data', key])
    // Of a block scalar (`|`) every line is a line of the file; of other forms only the first is known.
    const isBlock = /^[|>]/.test(outer.excerpt.slice(outer.column - 1))
    const lineOf = (line: number): number => (isBlock ? outer.line + line : outer.line)
    const inner = parse({ file: map.file, text })
    return [
      {
        ...inner,
        problems: inner.problems.map((problem) => ({ ...problem, line: lineOf(problem.line) })),
        documents: inner.documents.map((document) => ({
          ...document,
          manifest: isRouter ? routerConfiguration : document.manifest,
          value: isRouter ? document.value : named(document.value, key),
          place(path, spot) {
            const place = document.place(path, spot)
            return { ...place, line: lineOf(place.line) }
          },
        })),
      },
    ]
  })
}

/**
 * An EndpointPickerConfig has no name of its own: in a ConfigMap it has that of its file, so that several can stand there.
 * `default-plugins.yaml` is the one that the Endpoint Picker's chart uses unless told otherwise.
 */
function named(value: Readonly<Record<string, unknown>>, key: string): Readonly<Record<string, unknown>> {
  if (value['metadata'] !== undefined || value['kind'] !== 'EndpointPickerConfig') return value
  const file = key.replace(/\.ya?ml$/, '')
  return { ...value, metadata: { name: file === 'default-plugins' ? 'default' : file } }
}
