import { hintFor, issueProblems } from '#config/issue-problems.ts'
import type { ProfileConfig } from '#config/schema/profile-schema.ts'
import type { PluginPlan, ProfilePlan } from '#config/snapshot.ts'
import type { ExtensionPoint, PluginDefinition } from '#contracts/plugin.ts'
import { below, complain, type Findings, type Spot, warn } from './findings.ts'

type PluginConfig = ProfileConfig['picker'] | ProfileConfig['scorers'][number]

/** A profile with the parameters of its plug-ins checked and filled in. */
export function translateProfile(
  profile: ProfileConfig,
  plugins: readonly PluginDefinition[],
  spot: Spot,
  findings: Findings,
): ProfilePlan {
  const read = (config: PluginConfig, point: ExtensionPoint, at: Spot): PluginPlan => {
    const { type, weight: _weight, ...parameters } = typeof config === 'string' ? { type: config } : config
    return pluginPlan({ type, point, parameters, plugins }, at, findings)
  }
  return {
    filters: profile.filters.map((config, index) => read(config, 'filter', below(spot, 'filters', index))),
    scorers: profile.scorers.map((config, index) => ({
      ...read(config, 'scorer', below(spot, 'scorers', index)),
      weight: typeof config === 'string' ? 1 : config.weight,
    })),
    picker: read(profile.picker, 'picker', below(spot, 'picker')),
  }
}

interface Wanted {
  readonly type: string
  readonly point: ExtensionPoint
  readonly parameters: Readonly<Record<string, unknown>>
  readonly plugins: readonly PluginDefinition[]
}

function pluginPlan({ type, point, parameters, plugins }: Wanted, spot: Spot, findings: Findings): PluginPlan {
  const plugin = plugins.find((one) => one.type === type)
  if (plugin === undefined || plugin.point !== point) {
    const message =
      plugin === undefined ? `unknown ${point} '${type}'` : `'${type}' is a ${plugin.point}, not a ${point}`
    const types = plugins.filter((one) => one.point === point).map((one) => one.type)
    complain(findings, typeSpot(spot), message, { hint: hintFor(type, types, `${point}s`) })
    return { type, parameters: {} }
  }
  if (plugin.stability === 'alpha') warn(findings, typeSpot(spot), `${point} '${type}' is alpha: it may change or go`)
  const result = plugin.parameters.safeParse(parameters)
  if (!result.success) {
    findings.problems.push(...issueProblems(spot.document, result.error.issues, spot.path))
    return { type, parameters: {} }
  }
  return { type, parameters: result.data as Readonly<Record<string, unknown>> }
}

/** Of a mapping the place of its type; of a bare type that itself. */
function typeSpot(spot: Spot): Spot {
  return below(spot, 'type')
}
