import type { Rng } from '#core/clock.ts'
import type { CompiledRule, CompiledTarget, RouteResult } from './compile-rule.ts'

/**
 * Whether a model server can take a request: it has an endpoint that is not unready and, unless resting ones are
 * allowed, one that does not rest.
 */
export type IsUsable = (modelServerKey: string, allowResting: boolean) => boolean

/**
 * Draws a target of a rule by weight. One without a usable endpoint is skipped and the draw repeated among its siblings
 * by their weights. Resting endpoints serve only when no sibling has others. Undefined when no target is usable.
 */
export function drawTarget(rule: CompiledRule, isUsable: IsUsable, rng: Rng): RouteResult | undefined {
  const first = drawFrom(rule.targets, rule.totalWeight, rng)
  if (first === undefined || isUsable(first.modelServer, false)) return first?.result
  const redraw = (allowResting: boolean): RouteResult | undefined => {
    const skipped: string[] = []
    let rest = rule.targets
    for (let target = first; ; ) {
      if (isUsable(target.modelServer, allowResting)) {
        return skipped.length === 0 ? target.result : { ...target.result, skippedTargets: skipped }
      }
      skipped.push(target.modelServer)
      rest = rest.filter((other) => other !== target)
      const next = drawFrom(rest, totalOf(rest), rng)
      if (next === undefined) return undefined
      target = next
    }
  }
  return redraw(false) ?? redraw(true)
}

/**
 * Draws the target that takes over a request which the target in `from` can no longer serve: by weight among those that
 * `isUsable` accepts. Undefined when there is none. Nothing of this costs a request that goes well.
 */
export function drawSibling(
  from: RouteResult,
  isUsable: (modelServerKey: string) => boolean,
  rng: Rng,
): RouteResult | undefined {
  const others = from.siblings.filter(({ modelServer }) => modelServer !== from.modelServer && isUsable(modelServer))
  return drawFrom(others, totalOf(others), rng)?.result
}

function totalOf(targets: readonly CompiledTarget[]): number {
  return targets.reduce((total, { weight }) => total + weight, 0)
}

/** Draws by weight, uniformly in [0, total). */
function drawFrom(targets: readonly CompiledTarget[], total: number, rng: Rng): CompiledTarget | undefined {
  const last = targets.length - 1
  if (last <= 0) return targets[0]
  let at = rng() * total
  for (let i = 0; i < last; i++) {
    const target = targets[i]!
    at -= target.weight
    if (at < 0) return target
  }
  return targets[last]
}
