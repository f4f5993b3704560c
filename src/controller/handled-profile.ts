import { hintFor, valueAt } from '#config/issue-problems.ts'
import type { ProfileConfig } from '#config/schema/profile-schema.ts'
import type { ProfilePlan } from '#config/snapshot.ts'
import { below, complain, type Findings, type Spot } from './findings.ts'
import { type ProfilePorts, pluginPlan } from './profiles.ts'

/**
 * A profile with a handler, which chooses among others; undefined for one without, or when none of those can be used.
 * `profiles` are those without a handler.
 */
export function translateHandled(
  config: ProfileConfig,
  profiles: Readonly<Record<string, ProfilePlan>>,
  ports: ProfilePorts,
  spot: Spot,
): ProfilePlan | undefined {
  const { handler, profiles: names = [] } = config
  if (handler === undefined) return undefined
  const { plugins, findings } = ports
  for (const key of Object.keys(valueAt(spot.document.value, spot.path) ?? {})) {
    if (key === 'handler' || key === 'profiles') continue
    complain(findings, below(spot, key), `'${key}' has no meaning beside 'handler'`, { spot: 'key' })
  }
  if (names.length === 0) {
    const hint = 'list the names of others under profiles'
    complain(findings, below(spot, 'handler'), "'handler' chooses among 'profiles', and there are none", { hint })
  }
  for (const [index, name] of names.entries()) {
    if (names.indexOf(name) < index)
      complain(findings, below(spot, 'profiles', index), `'${name}' stands here a second time`)
  }
  const known = names.filter((name, index) => isKnown(name, profiles, below(spot, 'profiles', index), findings))
  const { type, ...parameters } = typeof handler === 'string' ? { type: handler } : handler
  const wanted = { type, point: 'profile-handler', parameters, plugins, profiles: known } as const
  const plan = pluginPlan(wanted, below(spot, 'handler'), findings)
  const first = profiles[known[0] ?? '']
  if (first === undefined) return undefined
  return { ...first, handler: { ...plan, profiles: known.map((name) => ({ name, profile: name })) } }
}

function isKnown(
  name: string,
  profiles: Readonly<Record<string, ProfilePlan>>,
  spot: Spot,
  findings: Findings,
): boolean {
  const plan = Object.hasOwn(profiles, name) ? profiles[name] : undefined
  if (plan === undefined) {
    const names = Object.keys(profiles)
    complain(findings, spot, `no profile '${name}' without a handler`, { hint: hintFor(name, names, 'profiles') })
  } else if (plan.handler !== undefined) {
    complain(findings, spot, `'${name}' has a handler itself: a handler chooses among profiles without one`)
    return false
  }
  return plan !== undefined
}
