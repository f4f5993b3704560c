import type { PluginPlan, ProfilePlan } from '#config/snapshot.ts'
import type { PluginDefinition } from '#contracts/plugin.ts'

/** What `Profile.produce` estimates itself: to read it is no reason for a producer, though one may know better. */
const estimated: readonly string[] = ['promptTokens']

/**
 * The producers of a profile: those that it names, in its order, then the first plug-in for each fact that its plug-ins read
 * and none of its producers writes; with `hasKvEvents` those included that need events of engines.
 */
export function producersOf(
  plan: ProfilePlan,
  plugins: readonly PluginDefinition[],
  hasKvEvents = false,
): readonly PluginPlan[] {
  const uses: PluginPlan[] = [...(plan.producers ?? [])]
  const definitionOf = ({ type }: PluginPlan): PluginDefinition | undefined => plugins.find((one) => one.type === type)
  const written = new Set<string>([...estimated, ...uses.flatMap((use) => definitionOf(use)?.writes ?? [])])
  const readers = [...plan.filters, ...plan.scorers, plan.picker]
  const read = new Set<string>(readers.flatMap((use) => definitionOf(use)?.reads ?? []))
  for (const plugin of plugins) {
    const writes = plugin.needsKvEvents === true && !hasKvEvents ? [] : (plugin.writes ?? [])
    if (!writes.some((fact) => read.has(fact) && !written.has(fact))) continue
    uses.push({ type: plugin.type, parameters: {} })
    for (const fact of writes) written.add(fact)
  }
  return uses
}
