import { issueProblems } from '#config/issue-problems.ts'
import type { EndpointPickerObject } from '#config/manifests/endpoint-picker-schema.ts'
import type { Manifest } from '#config/manifests/read-manifests.ts'
import { parseParameters } from '#config/parse-parameters.ts'
import type { PluginPlan, ProfilePlan } from '#config/snapshot.ts'
import type { PluginDefinition } from '#contracts/plugin.ts'
import { below, complain, type Findings, type Spot, warn } from '#controller/findings.ts'
import { type Adapted, adapt } from './adapt.ts'
import { type Instance, type Instances, instancesOf, referred } from './instances.ts'
import { checkSections } from './sections.ts'

interface Ports {
  readonly plugins: readonly PluginDefinition[]
  readonly findings: Findings
}

type SchedulingProfile = EndpointPickerObject['schedulingProfiles'][number]

/** A plug-in that a profile refers to. */
interface Use {
  readonly instance: Instance
  readonly definition: PluginDefinition
  readonly weight: number
  readonly adapted: Adapted
}

/**
 * The profile of an EndpointPickerConfig (endpoint-picker.md 4.1). Filters work in their order, behind one that keeps
 * out endpoints which are not ready; a profile without a picker takes the first of the document, or the one with the
 * greatest score; producers that are read and not named are added. Undefined when the document is beyond use.
 */
export function translateEndpointPicker(
  manifest: Manifest<EndpointPickerObject>,
  ports: Ports,
): ProfilePlan | undefined {
  const { findings } = ports
  const instances = instancesOf(manifest, findings)
  checkSections(manifest, instances, findings)
  const profile = onlyProfile(manifest, instances, ports)
  if (profile === undefined) return undefined
  const uses = usesOf(profile, manifest, instances, ports)
  const point = (wanted: string): readonly Use[] => uses.filter(({ definition }) => definition.point === wanted)
  const plan = (use: Use): PluginPlan => planOf(use.definition, use.adapted.parameters, use.instance.spot, ports)
  const picker = pickerOf(point('picker'), instances, profile.name, ports)
  warnOfUnused(uses, picker, instances, ports)
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

/** The one profile of a document; one with everything that is there when it has none. */
function onlyProfile(
  { document, value }: Manifest<EndpointPickerObject>,
  instances: Instances,
  { plugins, findings }: Ports,
): SchedulingProfile | undefined {
  const [profile, second] = value.schedulingProfiles
  if (profile === undefined) {
    const scheduled = [...instances.byName.values()].filter((one) => definitionOf(one, plugins) !== undefined)
    const refs = scheduled.filter(({ known }) => known.place === 'profile').map(({ name }) => ({ pluginRef: name }))
    return { name: 'default', plugins: refs }
  }
  if (second === undefined) return profile
  // Several profiles are for a profile handler that is refused, or for none at all.
  const isTold = value.plugins.some(({ type }) => handlesSeveral.includes(type))
  if (!isTold) {
    const message = 'several scheduling profiles need a profile handler that chooses, which this version does not have'
    const hint = 'give each its own document with a metadata.name, and name it at the model server'
    complain(findings, { document, path: ['schedulingProfiles', 1] }, message, { hint })
  }
  return undefined
}

const handlesSeveral = ['disagg-profile-handler', 'pd-profile-handler', 'header-profile-handler']

function definitionOf({ known }: Instance, plugins: readonly PluginDefinition[]): PluginDefinition | undefined {
  return plugins.find(({ type }) => type === known.plugin)
}

function usesOf(
  profile: SchedulingProfile,
  { document, value }: Manifest<EndpointPickerObject>,
  instances: Instances,
  ports: Ports,
): Use[] {
  const { plugins, findings } = ports
  const isWritten = value.schedulingProfiles.length > 0
  return profile.plugins.flatMap(({ pluginRef, weight }, index) => {
    const path = isWritten ? ['schedulingProfiles', 0, 'plugins', index] : ['plugins']
    const spot: Spot = { document, path }
    const at = { spot: below(spot, 'pluginRef'), findings }
    const instance = referred(instances, pluginRef, ['profile', 'producer', 'handler'], at)
    const definition = instance === undefined ? undefined : definitionOf(instance, plugins)
    // Producers and handlers may stand in a profile, where they do no more than elsewhere.
    if (instance === undefined || definition === undefined || definition.point === 'producer') return []
    if (weight !== undefined && definition.point !== 'scorer') {
      warn(findings, below(spot, 'weight'), `'${pluginRef}' is a ${definition.point}: only scorers have weights`)
    }
    const { point, type, stability } = definition
    if (stability === 'alpha') {
      warn(findings, below(instance.spot, 'type'), `${point} '${type}' is alpha: it may change or go`)
    }
    const adapted = adapt(instance, { instances, profile: profile.name, findings })
    return [{ instance, definition, weight: weight ?? 1, adapted }]
  })
}

/** The picker of a profile. */
function pickerOf(
  pickers: readonly Use[],
  instances: Instances,
  profile: string,
  { plugins, findings }: Ports,
): Use | undefined {
  const [picker, second] = pickers
  if (second !== undefined) {
    complain(findings, below(second.instance.spot, 'type'), `profile '${profile}' has two pickers`)
  }
  if (picker !== undefined) return picker
  for (const instance of instances.byName.values()) {
    const definition = definitionOf(instance, plugins)
    if (definition?.point !== 'picker') continue
    return { instance, definition, weight: 1, adapted: { parameters: { ...instance.parameters } } }
  }
  return undefined
}

function warnOfUnused(uses: readonly Use[], picker: Use | undefined, instances: Instances, ports: Ports): void {
  const used = new Set([...uses.map(({ instance }) => instance), picker?.instance])
  for (const instance of instances.byName.values()) {
    if (used.has(instance) || instance.known.place !== 'profile') continue
    const isDetector = instance.type === 'utilization-detector' || instance.type === 'concurrency-detector'
    const why = isDetector ? 'in no profile, and nothing else here asks whether engines are saturated' : 'in no profile'
    warn(ports.findings, below(instance.spot, 'type'), `'${instance.name}' does nothing: it is ${why}`)
    // Its parameters are checked all the same.
    const definition = definitionOf(instance, ports.plugins)
    const adapted = adapt(instance, { instances, profile: 'default', findings: ports.findings })
    if (definition !== undefined) planOf(definition, adapted.parameters, instance.spot, ports)
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
    return { plan: planOf(definition, instance.parameters, instance.spot, ports), isNamed: true }
  }
  const spot = (former ?? uses[0])?.instance.spot
  if (spot === undefined) return undefined
  return { plan: planOf(definition, former?.adapted.producerParameters ?? {}, spot, ports), isNamed: false }
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
  const adapted = adapt(instance, { instances, profile: '', findings: ports.findings })
  return [planOf(definition, adapted.parameters, instance.spot, ports)]
}

/** A plug-in with its parameters checked and filled in. */
function planOf(
  definition: PluginDefinition,
  parameters: Readonly<Record<string, unknown>>,
  spot: Spot,
  { findings }: Ports,
): PluginPlan {
  const { type } = definition
  const result = parseParameters(definition.parameters, parameters)
  if (!result.success) {
    findings.problems.push(...issueProblems(spot.document, result.error.issues, [...spot.path, 'parameters']))
    return { type, parameters: {} }
  }
  const caution = definition.caution?.(result.data)
  if (caution !== undefined) warn(findings, below(spot, 'type'), caution)
  return { type, parameters: result.data as Readonly<Record<string, unknown>> }
}
