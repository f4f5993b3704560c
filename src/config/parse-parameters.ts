import type { z } from 'zod'

/**
 * Checks the parameters of a plug-in. Plug-ins make their schemas with zod alone; here their unknown keys are told
 * with the keys that they know, as `strict` of the schemas does (schema/scalars.ts).
 */
export function parseParameters<Schema extends z.ZodType>(
  schema: Schema,
  parameters: unknown,
): z.ZodSafeParseResult<z.output<Schema>> {
  return schema.safeParse(parameters, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? keysOf(issue.inst) : undefined),
  })
}

function keysOf(schema: unknown): string | undefined {
  const shape: unknown = (schema as { def?: { shape?: unknown } } | undefined)?.def?.shape
  return typeof shape === 'object' && shape !== null ? JSON.stringify(Object.keys(shape)) : undefined
}
