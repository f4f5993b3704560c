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
    .describe('Routing strategies of AIBrix, such as `prefix-cache:2,least-request:1`, in place of all below.')
    .meta({ defaultText: 'none' }),
  handler: plugin()
    .optional()
    .describe(
      'Plug-in that says for each request which of the `profiles` places it, in place of plug-ins of its own: a type, or `{type, ...parameters}`.',
    )
    .meta({ defaultText: 'none' }),
  profiles: z
    .array(text(253))
    .max(64)
    .optional()
    .describe('Names of the profiles that the handler chooses among, in order; none of them has a handler itself.')
    .meta({ defaultText: 'none' }),
  producers: z
    .array(plugin())
    .max(32)
    .prefault([])
    .describe(
      'Plug-ins that find out facts for the others, in order: a type, or `{type, ...parameters}`. A fact that is read and that none of them writes has its usual producer.',
    ),
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
