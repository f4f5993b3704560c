import { z } from 'zod'
import { anyText, byForm, flag, numberBetween, strict, text } from '#config/schema/scalars.ts'
import { objectMetaSchema } from './object-meta.ts'

// Fields and defaults: endpoint-picker.md 4.1. What plug-ins take as parameters is theirs to check.

const name = text(253)

const reference = (): typeof name => name.describe('Name of an entry of `plugins`.')

const pluginRef = strict({ pluginRef: reference() })

const pluginSchema = strict({
  name: name.optional().describe('Name by which it is referred to.').meta({ defaultText: 'its type' }),
  type: name.describe('Type of the plug-in.'),
  parameters: z.record(z.string(), z.unknown()).prefault({}).describe('Its parameters.'),
})

const schedulingProfileSchema = strict({
  name: name.describe('Name of the profile.'),
  plugins: z
    .array(
      strict({
        pluginRef: reference(),
        weight: numberBetween(0, 1_000_000).optional().describe('How much a scorer counts.').meta({ defaultText: '1' }),
      }),
    )
    .max(256)
    .prefault([])
    .describe('Its plug-ins; filters work in their order.'),
})

/** Sizes and times as Kubernetes writes them: noted only, for queues are not acted on. */
const noted = byForm({ text: anyText(64), number: z.number() }, 'a size or a number')
  .optional()
  .describe('Noted only.')
const notedTime = anyText(64).optional().describe('Noted only.')
const notedName = name.optional().describe('Noted only.')

const bandSchema = strict({
  priority: z.number().int().optional().describe('Noted only.'),
  maxBytes: noted,
  maxRequests: noted,
  fairnessPolicyRef: notedName,
  orderingPolicyRef: notedName,
})

const flowControlSchema = strict({
  maxBytes: noted,
  maxRequests: noted,
  defaultRequestTTL: notedTime,
  noEndpointRequestTTL: notedTime,
  priorityBands: z.array(bandSchema).max(256).optional().describe('Noted only.'),
  defaultPriorityBand: bandSchema.optional().describe('Noted only.'),
  defaultNegativePriorityBand: bandSchema.optional().describe('Noted only.'),
  usageLimitPolicyPluginRef: notedName,
  saturationDetector: strict({ pluginRef: name.optional().describe('Name of an entry of `plugins`.') })
    .optional()
    .describe('Noted only.'),
  enableEviction: flag().optional().describe('Noted only.'),
})

const dataLayerSchema = strict({
  injectDefaults: flag().optional().describe('Noted only: metrics pages are read as the model server says.'),
  sources: z
    .array(
      strict({
        pluginRef: reference(),
        extractors: z.array(pluginRef).max(64).prefault([]).describe('What reads the source.'),
      }),
    )
    .max(64)
    .prefault([])
    .describe('Sources beside the metrics pages; only those that change nothing are taken.'),
  discovery: pluginRef.optional().describe('Refused: endpoints are those of the model server.'),
  peerDiscovery: pluginRef.optional().describe('Noted only.'),
  crossReplicaSyncerPluginRef: notedName,
  crossReplicaSyncInterval: notedTime,
})

/** An EndpointPickerConfig. It is a file of the Endpoint Picker, not a resource: most have no metadata. */
export const endpointPickerSchema = strict({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: objectMetaSchema.prefault({ name: 'default' }),
  featureGates: z.array(text(128)).max(64).prefault([]).describe('Features, as `name` or `name=false`.'),
  plugins: z.array(pluginSchema).max(256).prefault([]).describe('The plug-ins.'),
  schedulingProfiles: z
    .array(schedulingProfileSchema)
    .max(64)
    .prefault([])
    .describe('The profile.')
    .meta({ defaultText: 'one with every filter, scorer and picker of `plugins`' }),
  dataLayer: dataLayerSchema.prefault({}).describe('Where endpoints and their load come from.'),
  flowControl: flowControlSchema.optional().describe('Queues; read while the feature gate `flowControl` is on.'),
  requestHandler: strict({ parsers: z.array(pluginRef).max(64).prefault([]).describe('Noted only.') })
    .prefault({})
    .describe('How bodies are read.'),
  saturationDetector: strict({ pluginRef: name.optional().describe('Name of an entry of `plugins`.') })
    .optional()
    .describe('Former place of `flowControl.saturationDetector`.'),
  parser: pluginRef.optional().describe('Former place of `requestHandler.parsers`.'),
})

/** An EndpointPickerConfig as read. */
export type EndpointPickerObject = z.output<typeof endpointPickerSchema>
