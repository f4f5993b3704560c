import { hintFor } from '#config/issue-problems.ts'
import type { Manifests } from '#config/manifests/read-manifests.ts'
import {
  readStrategies,
  type StrategyName,
  strategyNames,
  strategyScorer,
  type WeightedStrategy,
} from '#config/routing-strategy.ts'
import type { ChoicePlan, ProfilePlan } from '#config/snapshot.ts'
import type { Env } from '#config/substitute-env.ts'
import { below, complain, type Findings, type Spot } from './findings.ts'
import type { ShortFormPart } from './gateway-settings.ts'
import type { NamedModel } from './short-form.ts'

/** Environment variables of AIBrix's gateway plug-in that are read (aibrix-and-others.md A2.1, A2.4). */
const strategyVariable = 'ROUTING_ALGORITHM'
const prefixVariables = {
  imbalance: 'AIBRIX_PREFIX_CACHE_POD_RUNNING_REQUEST_IMBALANCE_ABS_COUNT',
  deviations: 'AIBRIX_PREFIX_CACHE_STANDARD_DEVIATION_FACTOR',
} as const

/** Name of the profile behind `routing-strategy`: no profile of a configuration can have it while strategies may be chosen. */
const strategyProfile = 'routing-strategy'

/** A profile of weighted strategies: the sum of their scores, equals at random (aibrix-and-others.md A2.2). */
export function planOfStrategies(strategies: readonly WeightedStrategy[], env: Env): ProfilePlan {
  return {
    filters: [{ type: 'usable', parameters: {} }],
    scorers: strategies.map(({ name, weight }) => ({
      type: strategyScorer(name),
      weight,
      parameters: name === 'prefix-cache' ? prefixParameters(env) : {},
    })),
    picker: { type: 'max-score', parameters: {} },
  }
}

function prefixParameters(env: Env): Record<string, number> {
  const given: [string, number][] = []
  for (const [name, variable] of Object.entries(prefixVariables)) {
    const value = Number(env[variable] ?? '')
    if (env[variable] !== undefined && env[variable] !== '' && value >= 0 && value <= 1_000_000)
      given.push([name, value])
  }
  return Object.fromEntries(given)
}

/** The profile that the environment asks for; undefined when it asks for none. Complains at `spot`. */
export function profileOfEnvironment(env: Env, spot: Spot | undefined, findings: Findings): ProfilePlan | undefined {
  const text = env[strategyVariable] ?? ''
  if (text === '' || spot === undefined) return undefined
  const list = readStrategies(text)
  if ('strategies' in list) return planOfStrategies(list.strategies, env)
  complain(findings, spot, `the environment variable ${strategyVariable} ${list.fails}`)
  return undefined
}

/** What requests may choose by header, and the profile that `routing-strategy` needs; names are checked. */
export function choiceOf(
  parts: readonly ShortFormPart[],
  profiles: Readonly<Record<string, ProfilePlan>>,
  env: Env,
  findings: Findings,
): { readonly choice: ChoicePlan | undefined; readonly profiles: Readonly<Record<string, ProfilePlan>> } {
  const part = parts.find(({ value }) => value.scheduler !== undefined)
  const { allowedProfiles = [], allowedStrategies = [] } = part?.value.scheduler ?? {}
  const strategies = allowedStrategies === true ? strategyNames : allowedStrategies === false ? [] : allowedStrategies
  if (part !== undefined) {
    for (const [index, name] of allowedProfiles.entries()) {
      checkProfile(name, profiles, below(part.spot, 'scheduler', 'allowedProfiles', index), findings)
    }
  }
  if (allowedProfiles.length === 0 && strategies.length === 0) return { choice: undefined, profiles }
  const choice = { profiles: allowedProfiles, strategies: [...new Set<StrategyName>(strategies)], strategyProfile }
  if (strategies.length === 0) return { choice, profiles }
  if (part !== undefined && Object.hasOwn(profiles, strategyProfile)) {
    const message = `'allowedStrategies' takes the name '${strategyProfile}', and a profile has it`
    complain(findings, below(part.spot, 'scheduler', 'allowedStrategies'), message, {
      hint: 'give the profile another name',
    })
  }
  const plan = planOfStrategies(
    choice.strategies.map((name) => ({ name, weight: 1 })),
    env,
  )
  return { choice, profiles: { ...profiles, [strategyProfile]: plan } }
}

/** Complains about every profile that a model, a rule or a ModelServer names and that there is not. */
export function checkProfiles(
  models: readonly NamedModel[],
  manifests: Manifests,
  profiles: Readonly<Record<string, ProfilePlan>>,
  findings: Findings,
): void {
  for (const { model, spot } of models) {
    if (model.profile !== undefined) checkProfile(model.profile, profiles, below(spot, 'profile'), findings)
  }
  for (const { document, value } of manifests.modelRoutes) {
    for (const [index, { profile }] of value.spec.rules.entries()) {
      const spot = { document, path: ['spec', 'rules', index, 'profile'] }
      if (profile !== undefined) checkProfile(profile, profiles, spot, findings)
    }
  }
  for (const { document, value } of manifests.modelServers) {
    const spot = { document, path: ['spec', 'profile'] }
    if (value.spec.profile !== undefined) checkProfile(value.spec.profile, profiles, spot, findings)
  }
}

function checkProfile(
  name: string,
  profiles: Readonly<Record<string, ProfilePlan>>,
  spot: Spot,
  findings: Findings,
): void {
  if (Object.hasOwn(profiles, name)) return
  const hint = hintFor(name, Object.keys(profiles), 'profiles')
  complain(findings, spot, `no profile '${name}'`, { hint })
}
