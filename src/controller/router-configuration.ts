import type { ConfigDocument } from '#config/config-document.ts'
import { hintFor, issueProblems } from '#config/issue-problems.ts'
import {
  type RouterConfiguration,
  routerConfigurationSchema,
  routerPluginArguments,
} from '#config/manifests/router-configuration-schema.ts'
import { routerConfiguration } from '#config/router-configuration.ts'
import type { PluginPlan, ProfilePlan } from '#config/snapshot.ts'
import { below, complain, type Findings, placeText, type Spot, warn } from './findings.ts'

type Plugins = NonNullable<RouterConfiguration['scheduler']['plugins']>
type Enabled = Plugins['Score']['enabled'][number]

/** Plug-ins by their names in a router configuration. */
const filterTypes: Readonly<Record<string, string>> = {
  'least-request': 'kthena-least-request-filter',
  'lora-affinity': 'kthena-lora-affinity',
}
const scorerTypes: Readonly<Record<string, string>> = {
  'least-request': 'kthena-least-request',
  'least-latency': 'kthena-least-latency',
  'gpu-usage': 'kthena-gpu-usage',
  'prefix-cache': 'kthena-prefix-cache',
  'kvcache-aware': 'kthena-kvcache-aware',
  random: 'kthena-random',
}

/** What a configuration without `plugins` means (kthena-router.md 4.2). */
const usualPlugins: Plugins = {
  Filter: { enabled: ['least-request'], disabled: [] },
  Score: {
    enabled: ['least-request', 'least-latency', 'prefix-cache'].map((name) => ({ name, weight: 1 })),
    disabled: [],
  },
}

/** Arguments that size an index of prompts: ours is sized by what the engines can hold. */
const indexPlugins: ReadonlySet<string> = new Set(['prefix-cache', 'kvcache-aware'])

/** The profile of the router configuration among the documents; undefined when there is none or it is wrong. */
export function routerProfile(documents: readonly ConfigDocument[], findings: Findings): ProfilePlan | undefined {
  const [first, second] = documents.filter(({ manifest }) => manifest === routerConfiguration)
  if (first === undefined) return undefined
  if (second !== undefined) {
    const message = `a second router configuration; the first is in ${placeText({ document: first, path: [] })}`
    complain(findings, { document: second, path: [] }, message)
  }
  const result = routerConfigurationSchema.safeParse(first.value)
  if (result.success) return profileOf(result.data, { document: first, path: [] }, findings)
  findings.problems.push(...issueProblems(first, result.error.issues))
  return undefined
}

function profileOf({ scheduler, auth }: RouterConfiguration, spot: Spot, findings: Findings): ProfilePlan {
  if (auth !== undefined && auth.jwksUri !== '') {
    const hint = 'leave auth out, or jwksUri empty, and check tokens in front of the gateway'
    complain(findings, below(spot, 'auth', 'jwksUri'), 'this version does not check tokens yet', { hint })
  }
  const at = below(spot, 'scheduler')
  const parameters = argumentsOf(scheduler.pluginConfig, below(at, 'pluginConfig'), findings)
  const { Filter, Score } = scheduler.plugins ?? usualPlugins
  const plugins = below(at, 'plugins')
  const filterSpot = below(plugins, 'Filter')
  const scoreSpot = below(plugins, 'Score')
  const offFilters = disabledOf(Filter.disabled, filterTypes, below(filterSpot, 'disabled'), findings)
  const offScorers = disabledOf(Score.disabled, scorerTypes, below(scoreSpot, 'disabled'), findings)
  const filters = Filter.enabled.flatMap((name, index): PluginPlan[] => {
    const type = typeOf(name, filterTypes, below(filterSpot, 'enabled', index), findings)
    if (type === undefined || offFilters.has(name)) return []
    return [{ type, parameters: name === 'least-request' ? (parameters.get(name) ?? {}) : {} }]
  })
  const scorers = scorersOf(Score.enabled, offScorers, below(scoreSpot, 'enabled'), findings)
  return {
    filters: [{ type: 'usable', parameters: {} }, ...filters],
    scorers: scorers.map(({ name, weight }) => ({
      type: scorerTypes[name] ?? '',
      weight,
      parameters: name === 'least-latency' ? (parameters.get(name) ?? {}) : {},
    })),
    picker: { type: 'max-score', parameters: {} },
  }
}

/** The scorers that count. Without any of them requests would be placed at random: least-request takes their place. */
function scorersOf(
  enabled: readonly Enabled[],
  disabled: ReadonlySet<string>,
  spot: Spot,
  findings: Findings,
): readonly Enabled[] {
  const known = enabled.filter(({ name }, index) => {
    const type = typeOf(name, scorerTypes, below(spot, index, 'name'), findings)
    return type !== undefined && !disabled.has(name)
  })
  for (const [index, { weight }] of enabled.entries()) {
    if (weight < 0) warn(findings, below(spot, index, 'weight'), `the weight ${weight} counts as 0`)
  }
  const isMixed = known.some(({ name, weight }) => name !== 'random' && weight > 0)
  for (const [index, { name }] of enabled.entries()) {
    if (isMixed && name === 'random') warn(findings, below(spot, index), "'random' beside other scorers is left out")
  }
  const scorers = known.filter(({ name, weight }) => weight > 0 && !(isMixed && name === 'random'))
  if (scorers.length > 0 || findings.problems.length > 0) return scorers
  warn(findings, spot, 'no score plug-in counts: requests go to the endpoint with the fewest', { spot: 'key' })
  return [{ name: 'least-request', weight: 1 }]
}

function typeOf(
  name: string,
  types: Readonly<Record<string, string>>,
  spot: Spot,
  findings: Findings,
): string | undefined {
  if (Object.hasOwn(types, name)) return types[name]
  const names = Object.keys(types)
  const what = types === filterTypes ? 'filter' : 'score'
  complain(findings, spot, `unknown ${what} plug-in '${name}'`, { hint: hintFor(name, names, `${what} plug-ins`) })
  return undefined
}

/** Names that are switched off: the original reads the list and goes on as if it were empty. */
function disabledOf(
  disabled: Plugins['Score']['disabled'],
  types: Readonly<Record<string, string>>,
  spot: Spot,
  findings: Findings,
): ReadonlySet<string> {
  const names = disabled.map((item) => (typeof item === 'string' ? item : item.name))
  if (names.includes('*')) return new Set(Object.keys(types))
  // Charts list plug-ins as disabled under either stage.
  const isKnown = (name: string): boolean => Object.hasOwn(filterTypes, name) || Object.hasOwn(scorerTypes, name)
  for (const [index, name] of names.entries()) {
    if (!isKnown(name)) typeOf(name, types, below(spot, index), findings)
  }
  return new Set(names)
}

/** Arguments by plug-in name, checked. */
function argumentsOf(
  configs: RouterConfiguration['scheduler']['pluginConfig'],
  spot: Spot,
  findings: Findings,
): ReadonlyMap<string, Record<string, unknown>> {
  const found = new Map<string, Record<string, unknown>>()
  for (const [index, { name, args }] of configs.entries()) {
    const at = below(spot, index)
    const schema = Object.hasOwn(routerPluginArguments, name) ? routerPluginArguments[name] : undefined
    if (schema === undefined) {
      const hint = hintFor(name, Object.keys(routerPluginArguments), 'plug-ins')
      complain(findings, below(at, 'name'), `unknown plug-in '${name}'`, { hint })
      continue
    }
    if (found.has(name)) complain(findings, below(at, 'name'), `plug-in '${name}' is configured a second time`)
    const result = schema.safeParse(args)
    if (!result.success) {
      findings.problems.push(...issueProblems(at.document, result.error.issues, [...at.path, 'args']))
      continue
    }
    if (indexPlugins.has(name) && Object.keys(result.data).length > 0) {
      const message = `the arguments of '${name}' are checked but not needed: the gateway's index of prompts sizes itself`
      warn(findings, below(at, 'args'), message, { spot: 'key' })
    }
    found.set(name, result.data)
  }
  return found
}
