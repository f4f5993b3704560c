import { z } from 'zod'

/** Parameters of the pickers. */
export const pickerParameters = z.strictObject({
  maxNumOfEndpoints: z
    .int()
    .positive()
    .max(1000)
    .default(1)
    .describe('Ignored: one is picked, and a try that fails picks again among the others.'),
})

/** What to know of a list of endpoints. */
export function pickerCaution({ maxNumOfEndpoints }: z.infer<typeof pickerParameters>): string | undefined {
  return maxNumOfEndpoints > 1 ? 'one endpoint is picked; a try that fails picks again among the others' : undefined
}
