import { z } from 'zod'

/** Parameters of the pickers. */
export const pickerParameters = z.strictObject({
  maxNumOfEndpoints: z
    .int()
    .positive()
    .max(1000)
    .default(1)
    .describe('Ignored: one is picked and three more are ranked behind it, for further tries.'),
})

/** What to know of a list of endpoints. */
export function pickerCaution({ maxNumOfEndpoints }: z.infer<typeof pickerParameters>): string | undefined {
  return maxNumOfEndpoints > 1
    ? 'one endpoint is picked and three more are ranked behind it, for further tries'
    : undefined
}
