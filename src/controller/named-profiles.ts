import type { ConfigDocument } from '#config/config-document.ts'
import type { Manifests } from '#config/manifests/read-manifests.ts'
import type { ChoicePlan, ModelServerPlan, ProfilePlan, RoutePlan } from '#config/snapshot.ts'
import type { Env } from '#config/substitute-env.ts'
import type { PluginDefinition } from '#contracts/plugin.ts'
import { endpointPickerProfiles } from './epp/endpoint-pickers.ts'
import type { Findings } from './findings.ts'
import type { ShortFormPart } from './gateway-settings.ts'
import { translateHandled } from './handled-profile.ts'
import { translateProfile } from './profiles.ts'
import { routerProfile } from './router-configuration.ts'
import { profileOfEnvironment } from './scheduling.ts'
import { namedEntries } from './short-form.ts'

/** Profiles by name. */
export type ProfilePlans = Readonly<Record<string, ProfilePlan>>

/** What the profiles of a configuration come from, beside itself. */
export interface NamedProfilePorts {
  readonly plugins: readonly PluginDefinition[]
  /** The profile `default` unless the configuration has one of that name. */
  readonly defaultProfile: ProfilePlan
  /** Profiles that may be named without being written. */
  readonly builtInProfiles?: ProfilePlans | undefined
  readonly env?: Env
  readonly findings: Findings
}

/** Every profile that may be named: those of the configuration go before those that are built in. */
export function namedProfiles(
  parts: readonly ShortFormPart[],
  documents: readonly ConfigDocument[],
  manifests: Manifests,
  ports: NamedProfilePorts,
): ProfilePlans {
  const { plugins, defaultProfile, builtInProfiles = {}, env = {}, findings } = ports
  const named = namedEntries(parts, 'profiles', findings)
  const [first] = documents
  const start = first === undefined ? undefined : { document: first, path: [] }
  const router = routerProfile(documents, findings)
  const fallback = router ?? profileOfEnvironment(env, start, findings) ?? defaultProfile
  const taken = new Map(named.map(({ name, spot }) => [name, spot]))
  if (router !== undefined && start !== undefined) for (const name of ['default', 'kthena']) taken.set(name, start)
  const plain = named.filter(({ value }) => value.handler === undefined)
  const profiles = {
    ...builtInProfiles,
    default: fallback,
    ...(router === undefined ? {} : { kthena: router }),
    ...endpointPickerProfiles(manifests, taken, { plugins, findings }),
    ...Object.fromEntries(
      plain.map(({ name, spot, value }) => [name, translateProfile(value, { plugins, env, findings }, spot)]),
    ),
  }
  // A name that is written with a handler hides the profile that is built in under it: a handler cannot choose what is hidden.
  const hidden = new Set(named.flatMap(({ name, value }) => (value.handler === undefined ? [] : [name])))
  const members = Object.fromEntries(Object.entries<ProfilePlan>(profiles).filter(([name]) => !hidden.has(name)))
  const handled = named.flatMap(({ name, spot, value }) => {
    const plan = translateHandled(value, members, { plugins, env, findings }, spot)
    return plan === undefined ? [] : [[name, plan] as const]
  })
  return { ...profiles, ...Object.fromEntries(handled) }
}

/** What names profiles in a snapshot. */
export interface Naming {
  readonly modelServers: readonly ModelServerPlan[]
  readonly routes: readonly RoutePlan[]
  readonly choice: ChoicePlan | undefined
}

/** All profiles but those built in ones that nobody names: each profile costs every thread memory. */
export function profilesInForce(profiles: ProfilePlans, builtInProfiles: ProfilePlans, naming: Naming): ProfilePlans {
  const { modelServers, routes, choice } = naming
  const names = new Set<string | undefined>([
    ...modelServers.map(({ profile }) => profile),
    ...routes.flatMap(({ rules }) => rules.map(({ profile }) => profile)),
    ...(choice?.profiles ?? []),
    ...Object.values(profiles).flatMap(({ handler }) => handler?.profiles.map(({ profile }) => profile) ?? []),
  ])
  const isIdle = (name: string, plan: ProfilePlan): boolean =>
    Object.hasOwn(builtInProfiles, name) && builtInProfiles[name] === plan && !names.has(name)
  return Object.fromEntries(Object.entries(profiles).filter(([name, plan]) => !isIdle(name, plan)))
}
