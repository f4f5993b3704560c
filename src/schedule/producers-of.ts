import type { PluginPlan, ProfilePlan } from '#config/snapshot.ts'
import type { PluginDefinition } from '#contracts/plugin.ts'

/** What `Profile.produce` estimates itself: to read it is no reason for a producer, though one may know better. */
const estimated: readonly string[] = ['promptTokens']

/**
 * The producers of a profile: first the usual one of each fact (the first in the list of plug-ins that writes it) that its
 * filters, scorers and picker read and none of the producers it names writes, then those that it names, in its order, so that what these find out stands
 * and they may read what the usual ones have found. With `hasKvEvents` those included that need events of engines.
 */
export function producersOf(
  plan: ProfilePlan,
  plugins: readonly PluginDefinition[],
  hasKvEvents = false,
): readonly PluginPlan[] {
  const { producers: named = [] } = plan
  const usual: PluginPlan[] = []
  const definitionOf = ({ type }: PluginPlan): PluginDefinition | undefined => plugins.find((one) => one.type === type)
  const written = new Set<string>([...estimated, ...named.flatMap((use) => definitionOf(use)?.writes ?? [])])
  const readers = [...plan.filters, ...plan.scorers, plan.picker]
  const read = new Set<string>(readers.flatMap((use) => definitionOf(use)?.reads ?? []))
  for (const plugin of plugins) {
    const writes = plugin.needsKvEvents === true && !hasKvEvents ? [] : (plugin.writes ?? [])
    if (!writes.some((fact) => read.has(fact) && !written.has(fact))) continue
    usual.push({ type: plugin.type, parameters: {} })
    for (const fact of writes) written.add(fact)
  }
  return [...usual, ...named]
}
