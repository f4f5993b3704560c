import { z } from 'zod'
import type { PluginDefinition } from '#contracts/plugin.ts'

/** A parameter that is a number, with its range. */
export interface NumericParameter {
  readonly name: string
  readonly value: number
  readonly least: number
  readonly most: number
  readonly isWhole: boolean
}

interface NumberSchema {
  readonly type?: string
  readonly minimum?: number
  readonly exclusiveMinimum?: number
  readonly maximum?: number
  readonly default?: unknown
}

/** The number parameters of a plug-in that have both bounds: what a search may set. */
export function numericParameters({ parameters }: PluginDefinition): readonly NumericParameter[] {
  const { properties } = z.toJSONSchema(parameters, { io: 'input' }) as { properties?: Record<string, NumberSchema> }
  return Object.entries(properties ?? {}).flatMap(([name, schema]) => {
    const { type, minimum, exclusiveMinimum, maximum, default: value } = schema
    const least = minimum ?? exclusiveMinimum
    const isNumber = type === 'number' || type === 'integer'
    if (!isNumber || least === undefined || maximum === undefined || typeof value !== 'number') return []
    return [{ name, value, least, most: maximum, isWhole: type === 'integer' }]
  })
}
