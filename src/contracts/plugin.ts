import type { z } from 'zod'
import type { LoadColumns } from './load.ts'
import type { Facts, Filter, Picker, PluginPorts, Producer, ProfileHandler, Scorer } from './schedule.ts'

/** How far a plug-in's behaviour and parameters are settled. */
export type Stability = 'stable' | 'beta' | 'alpha'

interface PointTypes {
  readonly producer: Producer
  readonly filter: Filter
  readonly scorer: Scorer
  readonly picker: Picker
  readonly 'profile-handler': ProfileHandler
}

/** Whose names, parameters and formulas a plug-in has; the house's own unless said. */
export type Origin = 'epp' | 'kthena' | 'aibrix'

/** Where a plug-in takes part. */
export type ExtensionPoint = keyof PointTypes

/** A plug-in: one value that carries its type, its parameter schema, its documentation and its factory. */
export interface PluginDefinition<Point extends ExtensionPoint = ExtensionPoint, Schema extends z.ZodType = z.ZodType> {
  readonly point: Point
  /** Name in configuration, kebab-case, unique over all points. */
  readonly type: string
  readonly origin?: Origin
  readonly stability: Stability
  /** One sentence for the reference page. */
  readonly summary: string
  /**
   * Load columns and facts it reads. A profile that reads a fact which none of its producers writes gets the first
   * producer in the list of plug-ins that does, with its defaults.
   */
  readonly reads: readonly (keyof LoadColumns | keyof Facts)[]
  /** Facts it writes; producers only. */
  readonly writes?: readonly (keyof Facts)[]
  /** Whether a profile gets it by default only where engines tell what is in their KV caches (`kvEvents`). */
  readonly needsKvEvents?: boolean
  /** Strict schema of its parameters; every parameter has a default. */
  readonly parameters: Schema
  /**
   * What an operator should be warned of who sets these parameters; undefined: of nothing. `profiles` are those that a profile
   * handler chooses among.
   */
  caution?(parameters: z.infer<Schema>, profiles?: readonly string[]): string | undefined
  /** Makes one instance per profile and thread. */
  create(parameters: z.infer<Schema>, ports: PluginPorts): PointTypes[Point]
}

/** Gives a plug-in definition its precise type; returns it unchanged. */
export function definePlugin<Point extends ExtensionPoint, Schema extends z.ZodType>(
  definition: PluginDefinition<Point, Schema>,
): PluginDefinition<Point, Schema> {
  return definition
}
