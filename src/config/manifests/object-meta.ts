import { z } from 'zod'
import { anyText, strict, text } from '#config/schema/scalars.ts'

const stringMap = z.record(z.string(), anyText())

/** Metadata of a Kubernetes object: every standard field is taken, those that are used are checked. */
export const objectMetaSchema = strict({
  name: text(253),
  namespace: text(63).prefault('default'),
  labels: stringMap.prefault({}),
  annotations: z.record(z.string(), anyText(262_144)).optional(),
  creationTimestamp: text(64).optional(),
  resourceVersion: text(64).optional(),
  generateName: z.any().optional(),
  generation: z.any().optional(),
  uid: z.any().optional(),
  selfLink: z.any().optional(),
  finalizers: z.any().optional(),
  ownerReferences: z.any().optional(),
  managedFields: z.any().optional(),
  deletionTimestamp: text(64).optional(),
  deletionGracePeriodSeconds: z.any().optional(),
})

/** Metadata as read. */
export type ObjectMeta = z.output<typeof objectMetaSchema>

/** The envelope of a native resource around its spec. */
export function nativeObject<Spec extends z.ZodType>(spec: Spec) {
  return strict({
    apiVersion: z.string(),
    kind: z.string(),
    metadata: objectMetaSchema,
    spec,
    status: z.any().optional(),
  })
}
