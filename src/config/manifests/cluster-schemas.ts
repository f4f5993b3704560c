import { z } from 'zod'
import { anyText, flag, partial, text } from '#config/schema/scalars.ts'
import { objectMetaSchema } from './object-meta.ts'

// Objects that other programs write: only what is used is checked, the rest is left alone.

const data = z.record(z.string(), anyText(1_500_000)).optional()

/** A Secret: `data` is base64, `stringData` is plain and wins. */
export const secretSchema = partial({ metadata: objectMetaSchema, data, stringData: data })

/** A Pod, as far as it says where and whether a model server runs. */
export const podSchema = partial({
  metadata: objectMetaSchema,
  status: partial({
    phase: text().optional(),
    podIP: text().optional(),
    conditions: z.array(partial({ type: text(), status: text() })).prefault([]),
  }).optional(),
})

/** A Service, as far as it says which Pods it is for. */
export const serviceSchema = partial({
  metadata: objectMetaSchema,
  spec: partial({ selector: z.record(z.string(), anyText()).prefault({}) }).prefault({}),
})

/** An EndpointSlice: addresses of a Service. */
export const endpointSliceSchema = partial({
  metadata: objectMetaSchema,
  endpoints: z
    .array(
      partial({
        addresses: z.array(text(253)).min(1),
        conditions: partial({ ready: flag().optional(), terminating: flag().optional() }).prefault({}),
        targetRef: partial({ kind: text().optional(), name: text().optional() }).optional(),
      }),
    )
    .prefault([]),
})

/** A Secret as read. */
export type SecretObject = z.output<typeof secretSchema>
/** A Pod as read. */
export type PodObject = z.output<typeof podSchema>
/** A Service as read. */
export type ServiceObject = z.output<typeof serviceSchema>
/** An EndpointSlice as read. */
export type EndpointSliceObject = z.output<typeof endpointSliceSchema>
