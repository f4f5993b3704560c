import type { ModelConfig } from '#config/schema/model-schema.ts'
import type { EjectionPlan } from '#config/snapshot.ts'

/** The ejection settings of a model with units in their names. */
export function ejectionPlanOf(config: ModelConfig['ejection']): EjectionPlan {
  const { failures, successRatio, minRequests, window, time, maxTime, slowStart } = config
  return {
    failures,
    successRatio,
    minRequests,
    windowMs: window,
    baseMs: time,
    maxMs: Math.max(time, maxTime),
    slowStartMs: slowStart,
  }
}
