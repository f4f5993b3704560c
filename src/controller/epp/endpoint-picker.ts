import { issueProblems } from '#config/issue-problems.ts'
import type { EndpointPickerObject } from '#config/manifests/endpoint-picker-schema.ts'
import type { Manifest } from '#config/manifests/read-manifests.ts'
import { parseParameters } from '#config/parse-parameters.ts'
import type { ConfigProblem } from '#config/problem.ts'
import type { PluginPlan, ProfilePlan } from '#config/snapshot.ts'
import type { PluginDefinition } from '#contracts/plugin.ts'
import { below, complain, type Findings, type Spot, warn } from '#controller/findings.ts'
import { type Adapted, adapt } from './adapt.ts'
import { eppTypes } from './catalogue.ts'
import { type Instance, type Instances, instancesOf, referred } from './instances.ts'
import { checkSections } from './sections.ts'

interface Ports {
  readonly plugins: readonly PluginDefinition[]
  readonly findings: Findings
}

type SchedulingProfile = EndpointPickerObject['schedulingProfiles'][number]

/** A plug-in that a profile refers to. */
interface Use extends Given {
  readonly weight: number
  readonly adapted: Adapted
}

/** What an EndpointPickerConfig becomes. */
export interface TranslatedPicker {
  readonly plan: ProfilePlan
  /** The scheduling profiles that the handler of `plan` chooses among, by their names in the snapshot. */
  readonly members: Readonly<Record<string, ProfilePlan>>
}

/**
 * The profile of an EndpointPickerConfig (endpoint-picker.md 4.1). Filters work in their order, behind one that keeps
 * out endpoints which are not ready; a profile without a picker takes the first of the document, or the one with the
 * greatest score; producers that are read and not named are added. Several profiles need a handler that chooses; they are
 * called `NAME/PROFILE` in the snapshot. Undefined when the document is beyond use.
 */
export function translateEndpointPicker(
  manifest: Manifest<EndpointPickerObject>,
  { plugins, findings }: Ports,
): TranslatedPicker | undefined {
  // Plug-ins that stand in several profiles are checked for each: what is wrong with them is told once.
  const own: Findings = { problems: [], warnings: [] }
  const ports = { plugins, findings: own }
  const instances = instancesOf(manifest, own)
  checkSections(manifest, instances, own)
  const profiles = schedulingProfiles(manifest, instances, ports)
  const uses = profiles.map((profile, index) => usesOf(profile, index, { manifest, instances, ports }))
  const pickers = uses.map((list, index) => pickerOf(list, instances, profiles[index]?.name ?? '', ports))
  const plans = uses.map((list, index) => profilePlan(list, pickers[index], instances, ports))
  const [plan] = plans
  const translated = plan === undefined ? undefined : handledPlan(plan, plans, profiles, { manifest, instances, ports })
  if (plan !== undefined) warnOfUnused([...uses.flat(), ...pickers], instances, ports)
  findings.problems.push(...eachOnce(own.problems))
  findings.warnings.push(...eachOnce(own.warnings))
  return translated
}

interface Context {
  readonly manifest: Manifest<EndpointPickerObject>
  readonly instances: Instances
  readonly ports: Ports
}

function eachOnce(problems: readonly ConfigProblem[]): ConfigProblem[] {
  return [...new Map(problems.map((one) => [`${one.path}: ${one.message}`, one])).values()]
}

function profilePlan(uses: readonly Use[], picker: Use | undefined, instances: Instances, ports: Ports): ProfilePlan {
  const point = (wanted: string): readonly Use[] => uses.filter(({ definition }) => definition.point === wanted)
  const plan = (use: Use): PluginPlan => planOf(use, ports)
  return {
    producers: producersOf(uses, instances, ports),
    filters: [
      { type: 'usable', parameters: {} },
      ...uses.flatMap(({ adapted }) => (adapted.filter === undefined ? [] : [adapted.filter])),
      ...point('filter').map(plan),
    ],
    scorers: point('scorer').map((use) => ({ ...plan(use), weight: use.weight })),
    picker: picker === undefined ? { type: 'max-score-picker', parameters: { maxNumOfEndpoints: 1 } } : plan(picker),
  }
}

/** The one plan, or the first one with the handler that chooses among all. */
function handledPlan(
  first: ProfilePlan,
  plans: readonly ProfilePlan[],
  profiles: readonly SchedulingProfile[],
  { manifest, instances, ports }: Context,
): TranslatedPicker {
  const instance = [...instances.byName.values()].find(({ known }) => known.place === 'handler')
  const definition = instance === undefined ? undefined : definitionOf(instance, ports.plugins)
  if (instance === undefined || definition === undefined) return { plan: first, members: {} }
  const names = profiles.map(({ name }) => name)
  const { type, parameters } = planOf({ definition, instance, parameters: instance.parameters, profiles: names }, ports)
  // One profile is used whatever the handler: its parameters have been checked all the same.
  if (plans.length === 1) return { plan: first, members: {} }
  warnOfAlpha(definition, instance, ports.findings)
  const members = plans.map((plan, index) => [`${manifest.value.metadata.name}/${names[index] ?? ''}`, plan] as const)
  const chosen = members.map(([profile], index) => ({ name: names[index] ?? '', profile }))
  return { plan: { ...first, handler: { type, parameters, profiles: chosen } }, members: Object.fromEntries(members) }
}

/** The profiles of a document; one with everything that is there when it has none, and none when nothing chooses among them. */
function schedulingProfiles(
  { document, value }: Manifest<EndpointPickerObject>,
  instances: Instances,
  { plugins, findings }: Ports,
): readonly SchedulingProfile[] {
  const { schedulingProfiles: profiles } = value
  if (profiles.length === 0) {
    const scheduled = [...instances.byName.values()].filter((one) => definitionOf(one, plugins) !== undefined)
    const refs = scheduled.filter(({ known }) => known.place === 'profile').map(({ name }) => ({ pluginRef: name }))
    return [{ name: 'default', plugins: refs }]
  }
  if (profiles.length === 1) return profiles
  for (const [index, { name }] of profiles.entries()) {
    if (profiles.findIndex((one) => one.name === name) < index)
      complain(findings, { document, path: ['schedulingProfiles', index, 'name'] }, `two profiles are named '${name}'`)
  }
  const handlers = [...instances.byName.values()].filter(({ known }) => known.place === 'handler')
  if (handlers.some(({ type }) => type === 'header-profile-handler')) return profiles
  // One that is refused has been told of.
  if (!value.plugins.some(({ type }) => eppTypes[type]?.place === 'handler' && eppTypes[type].refused !== undefined)) {
    const message = "several scheduling profiles need a profile handler that chooses: 'header-profile-handler'"
    const hint = 'or give each its own document with a metadata.name, and name it at the model server'
    complain(findings, { document, path: ['schedulingProfiles', 1] }, message, { hint })
  }
  return []
}

function definitionOf({ known }: Instance, plugins: readonly PluginDefinition[]): PluginDefinition | undefined {
  return plugins.find(({ type }) => type === known.plugin)
}

function usesOf(profile: SchedulingProfile, at: number, { manifest, instances, ports }: Context): Use[] {
  const { document, value } = manifest
  const { plugins, findings } = ports
  const isWritten = value.schedulingProfiles.length > 0
  return profile.plugins.flatMap(({ pluginRef, weight }, index) => {
    const path = isWritten ? ['schedulingProfiles', at, 'plugins', index] : ['plugins']
    const spot: Spot = { document, path }
    const places = ['profile', 'producer', 'handler'] as const
    const instance = referred(instances, pluginRef, places, { spot: below(spot, 'pluginRef'), findings })
    const definition = instance === undefined ? undefined : definitionOf(instance, plugins)
    // Producers and handlers may stand in a profile, where they do no more than elsewhere.
    if (instance === undefined || definition === undefined || !isInProfile(definition)) return []
    if (weight !== undefined && definition.point !== 'scorer') {
      warn(findings, below(spot, 'weight'), `'${pluginRef}' is a ${definition.point}: only scorers have weights`)
    }
    warnOfAlpha(definition, instance, findings)
    const adapted = adapt(instance, { instances, profile: profile.name, findings })
    return [{ instance, definition, weight: weight ?? 1, adapted, parameters: adapted.parameters }]
  })
}

function isInProfile({ point }: PluginDefinition): boolean {
  return point !== 'producer' && point !== 'profile-handler'
}

function warnOfAlpha({ point, type, stability }: PluginDefinition, { spot }: Instance, findings: Findings): void {
  if (stability !== 'alpha') return
  warn(findings, below(spot, 'type'), `${point.replace('-', ' ')} '${type}' is alpha: it may change or go`)
}

/** The picker of a profile. */
function pickerOf(
  uses: readonly Use[],
  instances: Instances,
  profile: string,
  { plugins, findings }: Ports,
): Use | undefined {
  const [picker, second] = uses.filter(({ definition }) => definition.point === 'picker')
  if (second !== undefined) {
    complain(findings, below(second.instance.spot, 'type'), `profile '${profile}' has two pickers`)
  }
  if (picker !== undefined) return picker
  for (const instance of instances.byName.values()) {
    const definition = definitionOf(instance, plugins)
    if (definition?.point !== 'picker') continue
    const { parameters } = instance
    return { instance, definition, weight: 1, adapted: { parameters: { ...parameters } }, parameters }
  }
  return undefined
}

function warnOfUnused(uses: readonly (Use | undefined)[], instances: Instances, ports: Ports): void {
  const used = new Set(uses.map((use) => use?.instance))
  for (const instance of instances.byName.values()) {
    if (used.has(instance) || instance.known.place !== 'profile') continue
    const isDetector = instance.type === 'utilization-detector' || instance.type === 'concurrency-detector'
    const why = isDetector ? 'in no profile, and nothing else here asks whether engines are saturated' : 'in no profile'
    warn(ports.findings, below(instance.spot, 'type'), `'${instance.name}' does nothing: it is ${why}`)
    // Its parameters are checked all the same.
    const definition = definitionOf(instance, ports.plugins)
    const { parameters } = adapt(instance, { instances, profile: 'default', findings: ports.findings })
    if (definition !== undefined) planOf({ definition, instance, parameters }, ports)
  }
}

const prefixProducer = 'approx-prefix-cache-producer'
const loadProducer = 'inflight-load-producer'

/** Producers in the order in which they need each other: those of the document, and those that are read. */
function producersOf(uses: readonly Use[], instances: Instances, ports: Ports): PluginPlan[] {
  const reads = new Set<string>(uses.flatMap(({ definition }) => definition.reads))
  const named = [...instances.byName.values()].filter(({ known }) => known.place === 'producer')
  const prefix = prefixPlan(uses, instances, ports)
  const load = named.find(({ type }) => type === loadProducer)
  const isRead = (fact: string): boolean => reads.has(fact)
  return [
    ...(prefix !== undefined && (prefix.isNamed || isRead('matchedBlocks')) ? [prefix.plan] : []),
    ...(load !== undefined || isRead('inFlightTokens') || isRead('requestTokens')
      ? loadPlan(load, instances, ports)
      : []),
  ]
}

/** The one producer of prefix matches. */
function prefixPlan(
  uses: readonly Use[],
  instances: Instances,
  ports: Ports,
): { readonly plan: PluginPlan; readonly isNamed: boolean } | undefined {
  const definition = ports.plugins.find(({ type }) => type === prefixProducer)
  if (definition === undefined) return undefined
  const instance = prefixInstance(uses, instances, ports)
  const former = uses.find(({ adapted }) => Object.keys(adapted.producerParameters ?? {}).length > 0)
  if (instance !== undefined) {
    if (former !== undefined) {
      const message = `the producer '${instance.name}' decides on blocks: what stands here has no meaning beside it`
      complain(ports.findings, below(former.instance.spot, 'parameters'), message, { spot: 'key' })
    }
    return { plan: planOf({ definition, instance, parameters: instance.parameters }, ports), isNamed: true }
  }
  const asking = (former ?? uses[0])?.instance
  if (asking === undefined) return undefined
  const parameters = former?.adapted.producerParameters ?? {}
  return { plan: planOf({ definition, instance: asking, parameters }, ports), isNamed: false }
}

/** The entry of `plugins` that tells prefix matches: the one that is asked for by name, else the first. */
function prefixInstance(uses: readonly Use[], instances: Instances, { findings }: Ports): Instance | undefined {
  const asked = new Set(uses.flatMap(({ adapted }) => adapted.prefixProducer ?? []))
  const all = [...instances.byName.values()].filter(({ type }) => type === prefixProducer)
  const [first, second] = all.filter(({ name }) => asked.has(name))
  if (second !== undefined) {
    const message = 'a profile has one producer of prefix matches here, and its plug-ins name several'
    complain(findings, below(second.spot, 'name'), message)
  }
  return first ?? all[0]
}

function loadPlan(instance: Instance | undefined, instances: Instances, ports: Ports): PluginPlan[] {
  const definition = ports.plugins.find(({ type }) => type === loadProducer)
  if (definition === undefined) return []
  if (instance === undefined) return [{ type: loadProducer, parameters: definition.parameters.parse({}) as {} }]
  const { parameters } = adapt(instance, { instances, profile: '', findings: ports.findings })
  return [planOf({ definition, instance, parameters }, ports)]
}

/** A plug-in and the parameters that it is given. */
interface Given {
  readonly definition: PluginDefinition
  /** Where the parameters stand. */
  readonly instance: Instance
  readonly parameters: Readonly<Record<string, unknown>>
  /** What a profile handler chooses among. */
  readonly profiles?: readonly string[]
}

/** A plug-in with its parameters checked and filled in. */
function planOf({ definition, instance: { spot }, parameters, profiles }: Given, { findings }: Ports): PluginPlan {
  const { type } = definition
  const result = parseParameters(definition.parameters, parameters)
  if (!result.success) {
    findings.problems.push(...issueProblems(spot.document, result.error.issues, [...spot.path, 'parameters']))
    return { type, parameters: {} }
  }
  const caution = definition.caution?.(result.data, profiles)
  if (caution !== undefined) warn(findings, below(spot, 'type'), caution)
  return { type, parameters: result.data as Readonly<Record<string, unknown>> }
}
