import { z } from 'zod'
import { sessionSources } from '#config/schema/gateway-schema.ts'
import { anyText, oneOf, strict, text, wholeNumber } from '#config/schema/scalars.ts'
import { nativeObject } from './object-meta.ts'

// Fields, bounds and defaults: kthena-router.md 1.1.

/** Exactly one of the three; that is checked when it is translated. */
export const stringMatchSchema = strict({
  exact: anyText().optional().describe('The value is this.'),
  prefix: anyText().optional().describe('The value begins with this.'),
  regex: anyText(1024).optional().describe('An RE2 expression is found in the value.'),
})

const modelMatchSchema = strict({
  headers: z
    .record(z.string(), stringMatchSchema)
    .optional()
    .describe('Conditions on headers; an absent one is the empty text.'),
  uri: stringMatchSchema.optional().describe('Condition on the path, without the query.'),
  body: strict({ model: anyText(256).optional().describe('The `model` of the body is this.') })
    .optional()
    .describe('Condition on the body.'),
})

const targetModelSchema = strict({
  modelServerName: anyText(253).optional().describe('A ModelServer of the same namespace: this or the next.'),
  externalModelProviderName: anyText(253)
    .optional()
    .describe('An ExternalModelProvider of the same namespace; not in a route with adapters.'),
  weight: wholeNumber(0, 100)
    .optional()
    .describe('Share of the requests, relative to the other targets.')
    .meta({ defaultText: '`100`' }),
})

const ruleSchema = strict({
  name: anyText(253).optional().describe('Shown in logs.'),
  modelMatch: modelMatchSchema
    .optional()
    .describe('Conditions, all of which must hold.')
    .meta({ defaultText: 'every request' }),
  profile: text(63)
    .optional()
    .describe('Scheduling profile of matching requests; not a field of the original resource.')
    .meta({ defaultText: 'that of the model server' }),
  sessionFrom: sessionSources()
    .optional()
    .describe('Where the session of matching requests comes from; not a field of the original resource.')
    .meta({ defaultText: 'as everywhere' }),
  targetModels: z.array(targetModelSchema).min(1).max(16).describe('Where matching requests go.'),
})

const tokenCount = wholeNumber(1, 4_294_967_295)

const rateLimitSchema = strict({
  inputTokensPerUnit: tokenCount.optional().describe('Prompt tokens per unit.'),
  outputTokensPerUnit: tokenCount.optional().describe('Generated tokens per unit.'),
  unit: oneOf(['second', 'minute', 'hour', 'day', 'month']).prefault('second').describe('The unit.'),
  global: strict({
    redis: strict({ address: text(253).describe('`host:port`.') })
      .optional()
      .describe('The shared store.'),
  })
    .optional()
    .describe('Counts over all gateways.'),
})

const parentRefSchema = strict({
  group: anyText(253).optional().describe('API group.'),
  kind: anyText(63).optional().describe('Kind.'),
  namespace: text(63).optional().describe('Namespace.').meta({ defaultText: 'that of the route' }),
  name: text(253).describe('Name of the Gateway.'),
  sectionName: text(253).optional().describe('Listener of the Gateway.'),
  port: wholeNumber(1, 65_535).optional().describe('Port of the Gateway.'),
})

/** A ModelRoute. */
export const modelRouteSchema = nativeObject(
  strict({
    modelName: anyText(256)
      .optional()
      .describe('The `model` of requests that the route owns: this, `loraAdapters` or both must be given.'),
    loraAdapters: z
      .array(text())
      .max(10)
      .prefault([])
      .describe('Further values of `model`, which reach the engines as they are.'),
    parentRefs: z
      .array(parentRefSchema)
      .max(32)
      .prefault([])
      .describe('Gateways the route is attached to. It takes no part while no Gateway is configured.'),
    rules: z.array(ruleSchema).min(1).max(16).describe('The first that matches wins.'),
    rateLimit: rateLimitSchema.optional().describe('Token budget. Checked, but not enforced by this version.'),
  }),
)

/** A ModelRoute as read. */
export type ModelRouteObject = z.output<typeof modelRouteSchema>

/** One rule of it. */
export type ModelRouteRule = ModelRouteObject['spec']['rules'][number]

/** A condition on one string. */
export type StringMatchObject = z.output<typeof stringMatchSchema>
