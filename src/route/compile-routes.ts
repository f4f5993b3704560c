import type { Snapshot } from '#config/snapshot.ts'
import type { Rng } from '#core/clock.ts'
import { type Refusal, refuse } from '#core/refusal.ts'
import { nearNames } from '#struct/near-names.ts'
import { type CompiledRule, compileRule, type RouteInput, type RouteResult } from './compile-rule.ts'
import { drawTarget, type IsUsable } from './draw-target.ts'
import { listModels } from './list-models.ts'
import { type NamedRoutes, routesByName } from './routes-by-name.ts'

/** The routes of a snapshot, compiled. Immutable. */
export interface RouteTable {
  /**
   * Where a request goes (kthena-router.md 2.3, without its defects): the routes that own the name, oldest first, and
   * in each the first rule whose conditions all hold; then a draw by weight among the rule's targets. A rule that
   * matches decides: when none of its targets is usable the request is refused, because a younger route may mean
   * another model or tenant. Costs no allocation unless a target is skipped or the answer is a refusal.
   */
  route(input: RouteInput, isUsable: IsUsable, rng: Rng): RouteResult | Refusal
}

/** Compiles the routes of a snapshot. Throws when a regex is invalid, which the loader has ruled out. */
export function compileRoutes(snapshot: Pick<Snapshot, 'routes' | 'modelServers'>): RouteTable {
  const servedModels = new Map(snapshot.modelServers.map(({ key, servedModel }) => [key, servedModel]))
  const routesOf = new Map<string, readonly CompiledRoute[]>()
  for (const [name, owners] of routesByName(snapshot.routes)) {
    routesOf.set(name, compileOwners(name, owners, servedModels))
  }
  const listed = listModels(snapshot).map(({ id }) => id)
  return {
    route(input, isUsable, rng) {
      const routes = routesOf.get(input.model)
      if (routes === undefined) return unknownModel(input.model, listed)
      for (let i = 0; i < routes.length; i++) {
        const rule = firstMatch(routes[i]!, input)
        // A rule without a weighted target is no match (2.3, step 4): the next younger route is asked.
        if (rule !== undefined && rule.totalWeight > 0) {
          return drawTarget(rule, isUsable, rng) ?? noEndpoint(input.model)
        }
      }
      const message = `Routes for the model '${shown(input.model)}' exist, but none has a rule that this request matches.`
      return refuse('no-matching-rule', message, { param: 'model' })
    },
  }
}

/** The rules of one route, in order. */
type CompiledRoute = readonly CompiledRule[]

function firstMatch(rules: CompiledRoute, input: RouteInput): CompiledRule | undefined {
  for (let i = 0; i < rules.length; i++) if (rules[i]!.matches(input)) return rules[i]
  return undefined
}

function compileOwners(
  name: string,
  { routes, isAdapter }: NamedRoutes,
  servedModels: ReadonlyMap<string, string | undefined>,
): readonly CompiledRoute[] {
  return routes.map((route) =>
    route.rules.map((rule, ruleIndex) => compileRule(rule, ruleIndex, { route, name, isAdapter, servedModels })),
  )
}

const noEndpointRetryAfterS = 1

function noEndpoint(model: string): Refusal {
  const message = `No endpoint that serves the model '${shown(model)}' is usable now. Try again later.`
  return refuse('no-endpoint', message, { retryAfterS: noEndpointRetryAfterS })
}

const nearNameBounds = { limit: 3, maxCandidates: 256, maxLength: 128 }

function unknownModel(model: string, listed: readonly string[]): Refusal {
  const near = nearNames(model, listed, nearNameBounds).map((name) => `'${shown(name)}'`)
  const advice = near.length > 0 ? `Did you mean ${near.join(' or ')}?` : 'GET /v1/models lists all.'
  return refuse('unknown-model', `The model '${shown(model)}' does not exist. ${advice}`, { param: 'model' })
}

const shownCharacters = 256

/** A name in a message: cut when it is absurdly long. */
function shown(name: string): string {
  return name.length <= shownCharacters ? name : `${name.slice(0, shownCharacters)}...`
}
