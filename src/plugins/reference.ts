import { z } from 'zod'
import type { ExtensionPoint, Origin, PluginDefinition } from '#contracts/plugin.ts'
import { builtInProfiles, builtInSummaries } from './built-in-profiles.ts'
import { defaultProfile } from './default-profile.ts'
import { plugins } from './index.ts'

const introduction = `# Plug-ins

What scheduling profiles are made of. For each request the filters of the profile, in their order, drop endpoints that must not serve
it; each scorer gives those left a score from 0 to 1; the picker chooses one by the sum of the scores times their
weights. Producers find out before what the others read. A scorer without an opinion about an endpoint counts as the mean of its other scores, and one without any
opinion is left out.

A parameter that is not given has its default; an unknown parameter is an error.`

const points: readonly { readonly point: ExtensionPoint; readonly title: string }[] = [
  { point: 'producer', title: 'Producers' },
  { point: 'filter', title: 'Filters' },
  { point: 'scorer', title: 'Scorers' },
  { point: 'picker', title: 'Pickers' },
  { point: 'profile-handler', title: 'Profile handlers' },
]

/** Whose plug-ins, with what is true of all of them; the house's own first. */
const origins: readonly { readonly origin: Origin | undefined; readonly of: string; readonly note?: string }[] = [
  { origin: undefined, of: '' },
  {
    origin: 'epp',
    of: ' of the Endpoint Picker',
    note: 'Names, parameters and formulas are those of the Endpoint Picker. What an engine does not report is no opinion here, where the Endpoint Picker takes it for 0.',
  },
  { origin: 'kthena', of: ' of Kthena' },
  { origin: 'aibrix', of: ' of AIBrix' },
]

/** The reference page of the plug-ins, made from their definitions. */
export function renderPluginReference(): string {
  const sections = origins.flatMap(({ origin, of, note }) => {
    const own = plugins.filter((plugin) => plugin.origin === origin)
    const parts = points.flatMap(({ point, title }) => {
      const list = own.filter((plugin) => plugin.point === point)
      return list.length === 0 ? [] : [{ title: `## ${title}${of}`, list }]
    })
    return parts.map(({ title, list }, index) => {
      const body = list.map(renderPlugin).join('\n\n')
      return [title, ...(index === 0 && note !== undefined ? [note] : []), body].join('\n\n')
    })
  })
  return `${[introduction, renderDefaultProfile(), renderBuiltInProfiles(), ...sections].join('\n\n')}\n`
}

function renderDefaultProfile(): string {
  const { filters, scorers, picker } = defaultProfile
  const rows = [
    ...filters.map(({ type }) => `| filter | \`${type}\` | |`),
    ...scorers.map(({ type, weight }) => `| scorer | \`${type}\` | ${weight} |`),
    `| picker | \`${picker.type}\` | |`,
  ]
  return `## The default profile\n\n| point | plug-in | weight |\n|---|---|---|\n${rows.join('\n')}`
}

function renderBuiltInProfiles(): string {
  const rows = Object.entries(builtInProfiles).map(([name, { filters, scorers, picker }]) => {
    const summary = builtInSummaries[name as keyof typeof builtInSummaries]
    const weighted = scorers.map(({ type, weight }) => `${code(type)} ${weight}`).join(', ')
    return `| ${code(name)} | ${filters.map(({ type }) => code(type)).join(', ')} | ${weighted} | ${code(picker.type)} | ${summary} |`
  })
  const head = '| profile | filters | scorers and weights | picker | |\n|---|---|---|---|---|'
  const note = 'May be named without being written; a profile of the configuration with the same name goes before them.'
  return `## Built-in profiles\n\n${note}\n\n${[head, ...rows].join('\n')}`
}

function renderPlugin({ type, stability, summary, reads, parameters }: PluginDefinition): string {
  const facts = `${summary} Stability: ${stability}.${reads.length > 0 ? ` Reads: ${reads.map(code).join(', ')}.` : ''}`
  const rows = parameterRows(parameters)
  const head = '| parameter | values | default | meaning |\n|---|---|---|---|'
  return `### \`${type}\`\n\n${facts}${rows.length > 0 ? `\n\n${[head, ...rows].join('\n')}` : ''}`
}

/** The part of a JSON Schema that parameters use. */
interface ParameterSchema {
  readonly type?: string
  readonly enum?: readonly unknown[]
  readonly minimum?: number
  readonly exclusiveMinimum?: number
  readonly maximum?: number
  readonly default?: unknown
  readonly description?: string
}

function parameterRows(schema: z.ZodType): string[] {
  const { properties } = z.toJSONSchema(schema, { io: 'input' }) as { properties?: Record<string, ParameterSchema> }
  return Object.entries(properties ?? {}).map(([name, parameter]) => {
    const cells = [code(name), rangeOf(parameter), defaultOf(parameter), parameter.description ?? '']
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  })
}

function defaultOf({ default: value }: ParameterSchema): string {
  if (value === undefined || value === '') return ''
  return code(typeof value === 'string' ? value : JSON.stringify(value))
}

function rangeOf({ type, enum: values, minimum, exclusiveMinimum, maximum }: ParameterSchema): string {
  if (values !== undefined) return values.map((value) => code(String(value))).join(', ')
  const least = exclusiveMinimum === undefined ? minimum : `above ${exclusiveMinimum}`
  const range = [least, maximum].filter((bound) => bound !== undefined).join(' to ')
  return `${type ?? 'any'}${range === '' ? '' : `, ${range}`}`
}

function code(text: string): string {
  return `\`${text}\``
}
