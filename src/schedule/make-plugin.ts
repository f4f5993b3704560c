import type { PluginPlan } from '#config/snapshot.ts'
import type { ExtensionPoint, PluginDefinition } from '#contracts/plugin.ts'
import type { PluginPorts } from '#contracts/schedule.ts'
import { Fault } from '#core/fault.ts'

/** What plug-ins are made with. */
export interface MakePorts extends PluginPorts {
  /** Every plug-in there is. */
  readonly plugins: readonly PluginDefinition[]
}

/** Makes a plug-in of a point. Throws a Fault when there is none of that type; parameters are checked and completed. */
export function makePlugin<Point extends ExtensionPoint>(
  point: Point,
  use: PluginPlan,
  ports: MakePorts,
): ReturnType<PluginDefinition<Point>['create']> {
  const { plugins, ...own } = ports
  const definition = plugins.find(({ type }) => type === use.type)
  if (definition === undefined) throw new Fault('self', `no plug-in has the type '${use.type}'`)
  if (!isOf(definition, point)) throw new Fault('self', `'${use.type}' is a ${definition.point}, not a ${point}`)
  return definition.create(definition.parameters.parse(use.parameters), own)
}

function isOf<Point extends ExtensionPoint>(
  definition: PluginDefinition,
  point: Point,
): definition is PluginDefinition<Point> {
  return definition.point === point
}
