import type { RoutePlan, RulePlan, SessionSource } from '#config/snapshot.ts'
import type { ProfileChoice } from '#contracts/schedule.ts'
import { type HeaderList, headerOf } from '#core/header-list.ts'
import { compileStringMatch, type StringMatch } from './string-match.ts'

/** What routing looks at. */
export interface RouteInput {
  /** The model name as the client wrote it. */
  readonly model: string
  readonly headers: HeaderList
  /** Without the query. */
  readonly path: string
}

/** Where a request goes. */
export interface RouteResult {
  /** Name of the route. */
  readonly route: string
  /** Position of the rule in it. */
  readonly ruleIndex: number
  /** Key of the model server in the snapshot. */
  readonly modelServer: string
  /** Whether the name is an adapter's. */
  readonly isAdapter: boolean
  /** The name that the engine is to see; undefined: the one the client wrote. Adapters pass unchanged. */
  readonly upstreamModel: string | undefined
  /** The name that the engine is to see, changed or not. */
  readonly engineModel: string
  /** Profile that the rule asks for; undefined: that of the model server. */
  readonly profile: ProfileChoice | undefined
  /** Where the rule says that sessions come from; undefined: as everywhere. */
  readonly sessions: readonly SessionSource[] | undefined
  /** Keys of model servers that were drawn but had no usable endpoint, so that a sibling serves. */
  readonly skippedTargets: readonly string[]
  /** All weighted targets of the rule, this one among them: where the request may go when this one fails it. */
  readonly siblings: readonly CompiledTarget[]
}

/** A destination of a rule, with the result for a request that goes there at the first draw. */
export interface CompiledTarget {
  readonly modelServer: string
  /** Above zero. */
  readonly weight: number
  readonly result: RouteResult
}

/** A rule, ready to be asked. */
export interface CompiledRule {
  /** Whether all its conditions hold. */
  matches(input: RouteInput): boolean
  readonly targets: readonly CompiledTarget[]
  readonly totalWeight: number
}

/** What a rule is compiled for: one name of one route. */
export interface RuleContext {
  readonly route: RoutePlan
  readonly name: string
  readonly isAdapter: boolean
  /** `servedModel` by model server key. */
  readonly servedModels: ReadonlyMap<string, string | undefined>
}

const none: readonly string[] = []

/** Compiles one rule for one name. Targets of weight zero take no traffic, not even in place of others. */
export function compileRule(rule: RulePlan, ruleIndex: number, context: RuleContext): CompiledRule {
  const { route, name, isAdapter, servedModels } = context
  const weighted = rule.targets.filter(({ weight }) => weight > 0)
  const targets: CompiledTarget[] = []
  const profile = rule.profile === undefined ? undefined : { name: rule.profile }
  for (const { modelServer, weight } of weighted) {
    const served = isAdapter ? undefined : servedModels.get(modelServer)
    const upstreamModel = served === name ? undefined : served
    const shared = {
      route: route.name,
      ruleIndex,
      isAdapter,
      profile,
      sessions: rule.sessions,
      skippedTargets: none,
      siblings: targets,
    }
    const result = { ...shared, modelServer, upstreamModel, engineModel: served ?? name }
    targets.push({ modelServer, weight, result })
  }
  return {
    matches: compileConditions(rule, name),
    targets,
    totalWeight: targets.reduce((total, { weight }) => total + weight, 0),
  }
}

/**
 * All conditions of a rule as one. A header is found whatever the case of its name, and its first value counts; one
 * that is absent reads as the empty string (kthena-router.md 1.1), so that `exact: ''` says "not sent".
 */
function compileConditions(rule: RulePlan, name: string): (input: RouteInput) => boolean {
  if (rule.model !== undefined && rule.model !== name) return () => false
  const path = rule.path === undefined ? undefined : compileStringMatch(rule.path)
  const headers: { readonly name: string; readonly match: StringMatch }[] = rule.headers.map((header) => ({
    name: header.name.toLowerCase(),
    match: compileStringMatch(header.match),
  }))
  if (headers.length === 0) return path === undefined ? () => true : (input) => path(input.path)
  return (input) => {
    if (path !== undefined && !path(input.path)) return false
    for (let i = 0; i < headers.length; i++) {
      const header = headers[i]!
      if (!header.match(headerOf(input.headers, header.name) ?? '')) return false
    }
    return true
  }
}
