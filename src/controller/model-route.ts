import { hintFor } from '#config/issue-problems.ts'
import type { ModelRouteObject, ModelRouteRule } from '#config/manifests/model-route-schema.ts'
import type { Manifest, Manifests } from '#config/manifests/read-manifests.ts'
import type { RoutePlan, RulePlan, TargetPlan } from '#config/snapshot.ts'
import { providerKey } from './external-model-provider.ts'
import { below, complain, type Findings, type Spot, warn } from './findings.ts'
import { sessionsOf } from './sessions.ts'
import { isHeaderName } from './set-headers.ts'
import { stringMatchOf } from './string-match.ts'

type Target = ModelRouteRule['targetModels'][number]
type Match = NonNullable<ModelRouteRule['modelMatch']>

/** Weight of a target that gives none: the default of the resource. */
const defaultWeight = 100

/** What a route may refer to. */
interface Context {
  readonly manifests: Manifests
  readonly namespace: string
  readonly hasAdapters: boolean
  readonly findings: Findings
}

/** A ModelRoute, with every reference checked. */
export function translateModelRoute(
  { document, key, value }: Manifest<ModelRouteObject>,
  manifests: Manifests,
  findings: Findings,
): RoutePlan {
  const { modelName = '', loraAdapters, parentRefs, rules, rateLimit } = value.spec
  const spec = { document, path: ['spec'] }
  const context = { manifests, namespace: value.metadata.namespace, hasAdapters: loraAdapters.length > 0, findings }
  if (modelName === '' && loraAdapters.length === 0) {
    const hint = "give 'modelName', 'loraAdapters' or both"
    complain(findings, spec, `ModelRoute ${key} serves no model`, { hint, spot: 'key' })
  }
  checkAdapters(loraAdapters, modelName, below(spec, 'loraAdapters'), findings)
  if (rateLimit !== undefined) {
    warn(findings, below(spec, 'rateLimit'), 'token limits are checked, but not enforced by this version', {
      spot: 'key',
    })
  }
  if (parentRefs.length > 0) {
    const message = 'a route with parentRefs takes no part while no Gateway is configured'
    warn(findings, below(spec, 'parentRefs'), message, { spot: 'key' })
  }
  return {
    name: key,
    modelName: modelName === '' ? undefined : modelName,
    adapters: loraAdapters,
    attached: parentRefs.length > 0,
    rules: rules.map((rule, index) => ruleOf(rule, below(spec, 'rules', index), context)),
  }
}

function checkAdapters(adapters: readonly string[], modelName: string, spot: Spot, findings: Findings): void {
  for (const [index, adapter] of adapters.entries()) {
    const at = below(spot, index)
    if (adapters.indexOf(adapter) < index) complain(findings, at, `adapter '${adapter}' stands here twice`)
    if (adapter === modelName) {
      warn(findings, at, `'${adapter}' is the route's modelName too, so it is never taken for an adapter`)
    }
  }
}

function ruleOf(rule: ModelRouteRule, spot: Spot, context: Context): RulePlan {
  const { name, modelMatch = {}, targetModels, profile, sessionFrom } = rule
  const at = below(spot, 'targetModels')
  const targets = targetModels.map((target, index) => targetOf(target, below(at, index), context))
  checkWeights(targetModels, at, context.findings)
  const match = below(spot, 'modelMatch')
  return {
    name: name === '' ? undefined : name,
    headers: headersOf(modelMatch.headers ?? {}, below(match, 'headers'), context.findings),
    path:
      modelMatch.uri === undefined ? undefined : stringMatchOf(modelMatch.uri, below(match, 'uri'), context.findings),
    model: modelMatch.body?.model,
    ...(profile === undefined ? {} : { profile }),
    ...(sessionFrom === undefined
      ? {}
      : { sessions: sessionsOf(sessionFrom, below(spot, 'sessionFrom'), context.findings) }),
    targets: targets.filter((target) => target !== undefined),
  }
}

function headersOf(headers: NonNullable<Match['headers']>, spot: Spot, findings: Findings): RulePlan['headers'] {
  const plans: { name: string; match: NonNullable<ReturnType<typeof stringMatchOf>> }[] = []
  for (const [key, condition] of Object.entries(headers)) {
    const name = key.toLowerCase()
    if (!isHeaderName(key)) {
      complain(findings, below(spot, key), `'${key}' is not a valid header name`, { spot: 'key' })
      continue
    }
    if (plans.some((plan) => plan.name === name)) {
      complain(findings, below(spot, key), `header '${key}' stands here twice in different case`, { spot: 'key' })
      continue
    }
    const match = stringMatchOf(condition, below(spot, key), findings)
    if (match !== undefined) plans.push({ name, match })
  }
  return plans
}

/** All targets have a weight or none has; those without count 100, as the API server fills in (kthena-router.md 1.5). */
function checkWeights(targets: readonly Target[], spot: Spot, findings: Findings): void {
  const unweighted = targets.findIndex(({ weight }) => weight === undefined)
  if (unweighted >= 0 && targets.some(({ weight }) => weight !== undefined)) {
    const message = `this target has no weight while others have one; it counts ${defaultWeight}`
    warn(findings, below(spot, unweighted), message)
  }
  const total = targets.reduce((sum, { weight = defaultWeight }) => sum + weight, 0)
  if (total > 0) return
  const hint = 'give at least one target a weight above 0'
  complain(findings, spot, 'the weights of these targets add up to 0, so that nothing could be chosen', {
    hint,
    spot: 'key',
  })
}

function targetOf(target: Target, spot: Spot, context: Context): TargetPlan | undefined {
  const { modelServerName: server = '', externalModelProviderName: provider = '' } = target
  const { findings } = context
  if ((server === '') === (provider === '')) {
    const found = server === '' ? 'this target names no destination' : 'this target names two destinations'
    complain(findings, spot, found, { hint: "give one of 'modelServerName' and 'externalModelProviderName'" })
    return undefined
  }
  const weight = target.weight ?? defaultWeight
  if (server !== '') {
    const isThere = isKnown('ModelServer', server, below(spot, 'modelServerName'), context)
    return isThere ? { modelServer: `${context.namespace}/${server}`, weight } : undefined
  }
  const at = below(spot, 'externalModelProviderName')
  if (context.hasAdapters) {
    const hint = 'put the adapters into a ModelRoute of their own'
    complain(findings, at, 'a route with loraAdapters must not lead to an external provider', { hint })
  }
  const isThere = isKnown('ExternalModelProvider', provider, at, context)
  return isThere ? { modelServer: providerKey(`${context.namespace}/${provider}`), weight } : undefined
}

/** Complains when there is no such object in the route's namespace; one that was refused has been complained of. */
function isKnown(kind: 'ModelServer' | 'ExternalModelProvider', name: string, spot: Spot, context: Context): boolean {
  const { manifests, namespace, findings } = context
  const objects = kind === 'ModelServer' ? manifests.modelServers : manifests.providers
  if (objects.some(({ key }) => key === `${namespace}/${name}`)) return true
  if (manifests.refused.has(`${kind} ${namespace}/${name}`)) return false
  const names = objects
    .filter((one) => one.value.metadata.namespace === namespace)
    .map((one) => one.value.metadata.name)
  const elsewhere = objects.find((one) => one.value.metadata.name === name)?.value.metadata.namespace
  const hint =
    elsewhere === undefined
      ? hintFor(name, names, `${kind}s of that namespace`)
      : `there is one in namespace '${elsewhere}', but a route reaches its own namespace only`
  complain(findings, spot, `no ${kind} '${name}' in namespace '${namespace}'`, { hint })
  return false
}
