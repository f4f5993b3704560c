import { z } from 'zod'
import { anyText, numberBetween, partial, scalar, strict, text, wholeNumber } from '#config/schema/scalars.ts'

// Keys: kthena-router.md 4.2; arguments and defaults: 4.3.

const pluginNames = z.array(text(63)).max(64).prefault([])

/** A weight of any sign: below 0 it counts as 0, as in the original. */
const weight = scalar<number>('whole number', (value) =>
  Number.isInteger(value) && Math.abs(value as number) <= 1_000_000
    ? { value: value as number }
    : { fails: 'must be a whole number, at most 1000000' },
)

const scorePlugin = strict({ name: text(63), weight: weight.prefault(1) })

/** The scheduler's part and that of authentication. */
export const routerConfigurationSchema = strict({
  scheduler: strict({
    pluginConfig: z
      .array(strict({ name: text(63), args: partial({}).prefault({}) }))
      .max(64)
      .prefault([]),
    plugins: strict({
      Filter: strict({ enabled: pluginNames, disabled: pluginNames }).prefault({}),
      Score: strict({
        enabled: z.array(scorePlugin).max(64).prefault([]),
        disabled: z
          .array(z.union([z.string(), partial({ name: text(63) })]))
          .max(64)
          .prefault([]),
      }).prefault({}),
    }).optional(),
  }).prefault({}),
  auth: strict({
    jwksUri: anyText().prefault(''),
    issuer: anyText().prefault(''),
    audiences: z.array(anyText()).max(64).prefault([]),
  }).optional(),
})

/** A router configuration as read. */
export type RouterConfiguration = z.output<typeof routerConfigurationSchema>

const blocks = wholeNumber(1, 1_000_000_000).optional()

/** Arguments by plug-in name; what stands in none of these is unknown. */
export const routerPluginArguments: Readonly<Record<string, z.ZodType<Record<string, unknown>>>> = {
  'least-request': strict({ maxWaitingRequests: wholeNumber(0, 1_000_000).optional() }),
  'least-latency': strict({ TTFTTPOTWeightFactor: numberBetween(0, 1).optional() }),
  'gpu-usage': strict({}),
  'prefix-cache': strict({
    blockSizeToHash: blocks,
    maxBlocksToMatch: blocks,
    maxHashCacheSize: blocks,
    topKMatches: blocks,
  }),
  'kvcache-aware': strict({
    blockSizeToHash: blocks,
    maxBlocksToMatch: blocks,
    vllmTokenizerPort: wholeNumber(1, 65_535).optional(),
    sglangTokenizerPort: wholeNumber(1, 65_535).optional(),
  }),
  'lora-affinity': strict({}),
  random: strict({}),
}
