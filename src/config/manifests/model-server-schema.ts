import { z } from 'zod'
import { anyText, duration, flag, oneOf, strict, text, wholeNumber } from '#config/schema/scalars.ts'
import { nativeObject } from './object-meta.ts'

// Fields, bounds and defaults: kthena-router.md 1.2.

const labelMap = z
  .record(z.string(), anyText(63))
  .refine((labels) => Object.keys(labels).length > 0, 'must have at least one label')

const pdGroupSchema = strict({
  groupKey: text(317).describe('Label whose value tells the groups apart.'),
  prefillLabels: labelMap.describe('Labels of prefill Pods.'),
  decodeLabels: labelMap.describe('Labels of decode Pods; looked at first.'),
})

const trafficPolicySchema = strict({
  timeout: duration(1)
    .optional()
    .describe('For each try, up to the first byte of the answer.')
    .meta({ defaultText: '`120s`' }),
  retry: strict({
    attempts: wholeNumber(0, 10).prefault(0).describe('Further tries, before the first byte only.'),
    retryInterval: duration(0, 60_000).prefault('100ms').describe('Pause before a further try.'),
  })
    .optional()
    .describe('Further tries.')
    .meta({ defaultText: '2 attempts without a pause' }),
})

/** A ModelServer. */
export const modelServerSchema = nativeObject(
  strict({
    model: anyText(256)
      .optional()
      .describe('Name the engines know; takes the place of `model` in the body unless the request names an adapter.'),
    inferenceEngine: oneOf(['vLLM', 'SGLang']).describe('Software behind the endpoints.'),
    workloadSelector: strict({
      matchLabels: labelMap.describe('Labels of the Pods, in the same namespace.'),
      pdGroup: pdGroupSchema
        .optional()
        .describe('Roles in prefill/decode disaggregation: noted, not acted on by this version.'),
    }).describe('Which Pods.'),
    workloadPort: strict({
      port: wholeNumber(1, 65_535).describe('One port for requests and metrics.'),
      protocol: oneOf(['http', 'https'])
        .prefault('http')
        .describe("`https` checks certificates against the system's authorities."),
    }).describe('Where they listen.'),
    kvEvents: strict({
      discover: flag()
        .prefault(false)
        .describe('Asks each engine for its ports; those below serve where it cannot tell.'),
      port: wholeNumber(1, 65_535).prefault(5557).describe('Port of the published events (`endpoint` of the engine).'),
      replayPort: wholeNumber(1, 65_535)
        .optional()
        .describe('Port where past events can be asked for (`replay_endpoint`).')
        .meta({ defaultText: 'none: only what is stored from now on is known' }),
    })
      .optional()
      .describe('Where the engines publish their KV events; not a field of the original resource.')
      .meta({ defaultText: 'none' }),
    profile: text(63)
      .optional()
      .describe('Scheduling profile; not a field of the original resource.')
      .meta({ defaultText: '`default`' }),
    trafficPolicy: trafficPolicySchema.optional().describe('Timeout and retries.'),
    kvConnector: strict({ type: oneOf(['http', 'lmcache', 'nixl', 'mooncake']).prefault('http').describe('Protocol.') })
      .optional()
      .describe('Hand-over between prefill and decode; not acted on by this version.'),
  }),
)

/** A ModelServer as read. */
export type ModelServerObject = z.output<typeof modelServerSchema>
