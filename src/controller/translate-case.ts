import { parseDocuments } from '#config/load-documents.ts'
import type { ConfigProblem } from '#config/problem.ts'
import { flag, strict, wholeNumber } from '#config/schema/scalars.ts'
import type { ProfilePlan, Snapshot } from '#config/snapshot.ts'
import type { Env } from '#config/substitute-env.ts'
import { definePlugin, type ExtensionPoint, type PluginDefinition } from '#contracts/plugin.ts'
import { Fault } from '#core/fault.ts'
import { type Translation, translate } from './translate.ts'

// For tests: translations of texts, with plug-ins that do nothing.

function plugin(point: ExtensionPoint, type: string, stability: 'stable' | 'alpha' = 'stable') {
  return definePlugin({
    point,
    type,
    stability,
    summary: 'for tests',
    reads: [],
    parameters: strict({ window: wholeNumber(1, 10).prefault(5), strictly: flag().optional() }),
    create: () => {
      throw new Fault('self', 'configuration creates no plug-in')
    },
  }) as PluginDefinition
}

/** Plug-ins that profiles may name in tests. */
export const testPlugins: readonly PluginDefinition[] = [
  plugin('filter', 'usable'),
  plugin('scorer', 'least-request'),
  plugin('scorer', 'guess', 'alpha'),
  plugin('picker', 'max-score'),
]

/** The built-in profile in tests. */
export const testProfile: ProfilePlan = {
  filters: [],
  scorers: [{ type: 'least-request', weight: 1, parameters: {} }],
  picker: { type: 'max-score', parameters: {} },
}

/** Files and names that exist in tests. */
export interface TestWorld {
  readonly env?: Env
  /** By absolute path. */
  readonly files?: Readonly<Record<string, string>>
  readonly addresses?: Readonly<Record<string, readonly string[]>>
  readonly nowMs?: number
}

/** Translates one text, as the file /etc/gw.yaml. */
export function translateText(text: string, world: TestWorld = {}): Translation {
  const { env = {}, files = {}, addresses = {}, nowMs } = world
  return translate(parseDocuments({ file: '/etc/gw.yaml', text }, env), {
    plugins: testPlugins,
    defaultProfile: testProfile,
    readFile: (path) => (files[path] === undefined ? { fails: 'does not exist' } : { text: files[path] }),
    addresses: (name) => addresses[name] ?? [],
    nowMs,
  })
}

/** The snapshot of a text that must be good. */
export function snapshotOfText(text: string, world: TestWorld = {}): Snapshot {
  const result = translateText(text, world)
  if (!result.ok) throw new Fault('self', problemLines(result.problems).join('\n'))
  return result.snapshot
}

/** Problems in one line each: `LINE «UNDERLINED» PATH: MESSAGE (HINT)`. */
export function problemLines(problems: readonly ConfigProblem[]): string[] {
  return problems.map(({ line, column, width, excerpt, path, message, hint }) => {
    const underlined = excerpt.slice(column - 1, column - 1 + width)
    return `${line} «${underlined}» ${path}: ${message}${hint === undefined ? '' : ` (${hint})`}`
  })
}
