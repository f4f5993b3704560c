import type { z } from 'zod'

/** What is read of a schema's definition: the library's own types of it are too deep to compare. */
interface Definition {
  readonly type: string
  readonly innerType?: z.ZodType
  readonly defaultValue?: unknown
  readonly element?: z.ZodType
  readonly valueType?: z.ZodType
  readonly shape?: Readonly<Record<string, z.ZodType>>
  readonly entries?: Readonly<Record<string, string>>
  readonly values?: readonly unknown[]
}

function definitionOf(schema: z.ZodType): Definition {
  return schema.def
}

/** A schema without what wraps it, and what the wrapping says. */
interface Unwrapped {
  readonly inner: z.ZodType
  readonly definition: Definition
  readonly description: string
  readonly defaultText: string
}

function unwrap(schema: z.ZodType): Unwrapped {
  let inner = schema
  let definition = definitionOf(schema)
  let defaultText: string | undefined
  let isOptional = false
  while (definition.innerType !== undefined) {
    if (definition.type === 'optional') isOptional = true
    else defaultText ??= valueText(definition.defaultValue)
    inner = definition.innerType
    definition = definitionOf(inner)
  }
  const meta = schema.meta() ?? {}
  const text = meta.defaultText ?? defaultText ?? (isOptional ? 'none' : '**required**')
  return { inner, definition, description: meta.description ?? '', defaultText: text }
}

function valueText(value: unknown): string {
  if (Array.isArray(value) && value.length === 0) return 'none'
  if (typeof value === 'object' && value !== null && Object.keys(value).length === 0) return 'see below'
  return `\`${String(value)}\``
}

/** What kind of value a schema takes, in words. */
function typeText(schema: z.ZodType): string {
  const { inner, definition } = unwrap(schema)
  const { element, valueType, entries, values } = definition
  const said = inner.meta()?.typeText
  if (said !== undefined) return said
  if (entries !== undefined) return codeList(Object.values(entries))
  if (values !== undefined) return codeList(values)
  if (element !== undefined) return `list of: ${typeText(element)}`
  if (valueType !== undefined) return `mapping of names to: ${typeText(valueType)}`
  return definition.shape === undefined ? 'text' : 'mapping'
}

function codeList(words: readonly unknown[]): string {
  return words.map((word) => `\`${String(word)}\``).join(', ')
}

/** The mapping inside of a schema, and how a path to its keys goes on. */
function mappingIn(schema: z.ZodType, path: string): { shape: Record<string, z.ZodType>; path: string } | undefined {
  const { inner, definition } = unwrap(schema)
  const { element, valueType, shape } = definition
  if (element !== undefined) return mappingIn(element, `${path}[]`)
  if (valueType !== undefined) return mappingIn(valueType, `${path}.NAME`)
  if (shape !== undefined) return { shape, path }
  const mapping = inner.meta()?.mapping as z.ZodType | undefined
  return mapping === undefined ? undefined : mappingIn(mapping, path)
}

/** A table row; the bars of texts would end its cells. */
function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

/** Markdown rows for every key of a mapping and of the mappings inside, by path. */
export function schemaRows(schema: z.ZodType, path = ''): string[] {
  const mapping = mappingIn(schema, path)
  return Object.entries(mapping?.shape ?? {}).flatMap(([key, field]) => {
    const at = mapping === undefined || mapping.path === '' ? key : `${mapping.path}.${key}`
    const { description, defaultText } = unwrap(field)
    const isLabels = mappingIn(field, at) === undefined
    const shownDefault = isLabels && defaultText === 'see below' ? 'none' : defaultText
    return [row([`\`${at}\``, typeText(field), shownDefault, description]), ...schemaRows(field, at)]
  })
}

/** A whole table, with its head. */
export function schemaTable(schema: z.ZodType, path = ''): string {
  return [
    row(['key', 'value', 'default', 'meaning']),
    row(['---', '---', '---', '---']),
    ...schemaRows(schema, path),
  ].join('\n')
}
