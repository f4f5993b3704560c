import { z } from 'zod'
import { gatewayShape } from './gateway-schema.ts'
import { modelSchema } from './model-schema.ts'
import { profileSchema } from './profile-schema.ts'
import { strict } from './scalars.ts'

/** A document of the short form. Several documents are put together; each setting may stand in one of them only. */
export const shortFormSchema = strict({
  ...gatewayShape,
  models: z.record(z.string(), modelSchema).optional().describe('Models by the name that clients use.'),
  profiles: z
    .record(z.string(), profileSchema)
    .optional()
    .describe('Scheduling profiles by name. One named `default` takes the place of the built-in one.'),
})

/** A document of the short form, defaults filled in within what is there. */
export type ShortForm = z.output<typeof shortFormSchema>
