import type { z } from 'zod'
import type { LoadColumns } from './load.ts'
import type { Filter, Picker, PluginPorts, Scorer } from './schedule.ts'

/** How far a plug-in's behaviour and parameters are settled. */
export type Stability = 'stable' | 'beta' | 'alpha'

interface PointTypes {
  readonly filter: Filter
  readonly scorer: Scorer
  readonly picker: Picker
}

/** Where a plug-in takes part. */
export type ExtensionPoint = keyof PointTypes

/** A plug-in: one value that carries its type, its parameter schema, its documentation and its factory. */
export interface PluginDefinition<Point extends ExtensionPoint = ExtensionPoint, Schema extends z.ZodType = z.ZodType> {
  readonly point: Point
  /** Name in configuration, kebab-case, unique over all points. */
  readonly type: string
  readonly stability: Stability
  /** One sentence for the reference page. */
  readonly summary: string
  /** Load columns it reads: checked against what is produced. */
  readonly reads: readonly (keyof LoadColumns)[]
  /** Strict schema of its parameters; every parameter has a default. */
  readonly parameters: Schema
  /** Makes one instance per profile and thread. */
  create(parameters: z.infer<Schema>, ports: PluginPorts): PointTypes[Point]
}

/** Gives a plug-in definition its precise type; returns it unchanged. */
export function definePlugin<Point extends ExtensionPoint, Schema extends z.ZodType>(
  definition: PluginDefinition<Point, Schema>,
): PluginDefinition<Point, Schema> {
  return definition
}
