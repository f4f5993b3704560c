import { z } from 'zod'
import { byForm, numberBetween, partial, strict, text } from './scalars.ts'

const typeName = text(63).describe('Type of the plug-in.')
const weight = numberBetween(0, 1000).prefault(1).describe('How much its score counts, relative to the others.')

/** A plug-in: its type alone, or a mapping with its parameters. */
function plugin() {
  return byForm({ text: text(63), mapping: partial({ type: typeName }) }, 'the type of a plug-in or a mapping with one')
}

function scorer() {
  return byForm(
    { text: text(63), mapping: partial({ type: typeName, weight }) },
    'the type of a scorer or a mapping with one',
  )
}

/** One scheduling profile; parameters are checked by the plug-ins' own schemas. */
export const profileSchema = strict({
  strategy: text(1024)
    .optional()
    .describe('Routing strategies of AIBrix, such as `prefix-cache:2,least-request:1`, in place of the three below.')
    .meta({ defaultText: 'none' }),
  filters: z
    .array(plugin())
    .max(32)
    .prefault([])
    .describe('Plug-ins that take endpoints out, in order: a type, or `{type, ...parameters}`.'),
  scorers: z
    .array(scorer())
    .max(32)
    .prefault([])
    .describe('Plug-ins that score: a type, or `{type, weight, ...parameters}`; the weight is 1 unless given.'),
  picker: plugin().prefault('max-score').describe('The plug-in that chooses one of the scored endpoints.'),
})

/** One profile as configured. */
export type ProfileConfig = z.output<typeof profileSchema>
