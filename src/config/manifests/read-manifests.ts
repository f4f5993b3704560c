import type { z } from 'zod'
import { type ConfigDocument, problemAt } from '#config/config-document.ts'
import { issueProblems, valueAt } from '#config/issue-problems.ts'
import type { ConfigProblem } from '#config/problem.ts'
import { routerConfiguration } from '#config/router-configuration.ts'
import {
  type EndpointSliceObject,
  endpointSliceSchema,
  type PodObject,
  podSchema,
  type SecretObject,
  type ServiceObject,
  secretSchema,
  serviceSchema,
} from './cluster-schemas.ts'
import { type EndpointPickerObject, endpointPickerSchema } from './endpoint-picker-schema.ts'
import { type ExternalModelProviderObject, externalModelProviderSchema } from './external-model-provider-schema.ts'
import { judgeKind, type ReadKind } from './kinds.ts'
import { type ModelRouteObject, modelRouteSchema } from './model-route-schema.ts'
import { type ModelServerObject, modelServerSchema } from './model-server-schema.ts'
import type { ObjectMeta } from './object-meta.ts'

/** An object of a manifest and the document it stands in. */
export interface Manifest<Value> {
  readonly document: ConfigDocument
  /** `namespace/name`. */
  readonly key: string
  readonly value: Value
}

/** All manifests by kind, each in order of the documents. */
export interface Manifests {
  readonly modelRoutes: Manifest<ModelRouteObject>[]
  readonly modelServers: Manifest<ModelServerObject>[]
  readonly providers: Manifest<ExternalModelProviderObject>[]
  readonly secrets: Manifest<SecretObject>[]
  readonly pods: Manifest<PodObject>[]
  readonly services: Manifest<ServiceObject>[]
  readonly endpointSlices: Manifest<EndpointSliceObject>[]
  readonly endpointPickers: Manifest<EndpointPickerObject>[]
  /** `Kind namespace/name` of objects that were refused: references to them are no further problem. */
  readonly refused: Set<string>
  readonly problems: ConfigProblem[]
  readonly warnings: ConfigProblem[]
}

type Place =
  | 'modelRoutes'
  | 'modelServers'
  | 'providers'
  | 'secrets'
  | 'pods'
  | 'services'
  | 'endpointSlices'
  | 'endpointPickers'

const readers: Readonly<
  Record<ReadKind, { readonly schema: z.ZodType<{ metadata: ObjectMeta }>; readonly place: Place }>
> = {
  ModelRoute: { schema: modelRouteSchema, place: 'modelRoutes' },
  ModelServer: { schema: modelServerSchema, place: 'modelServers' },
  ExternalModelProvider: { schema: externalModelProviderSchema, place: 'providers' },
  Secret: { schema: secretSchema, place: 'secrets' },
  Pod: { schema: podSchema, place: 'pods' },
  Service: { schema: serviceSchema, place: 'services' },
  EndpointSlice: { schema: endpointSliceSchema, place: 'endpointSlices' },
  EndpointPickerConfig: { schema: endpointPickerSchema, place: 'endpointPickers' },
}

/** Checks every manifest against the schema of its kind. The short form is passed over. */
export function readManifests(documents: readonly ConfigDocument[]): Manifests {
  const manifests: Manifests = {
    modelRoutes: [],
    modelServers: [],
    providers: [],
    secrets: [],
    pods: [],
    services: [],
    endpointSlices: [],
    endpointPickers: [],
    refused: new Set(),
    problems: [],
    warnings: [],
  }
  const seen = new Map<string, ConfigDocument>()
  for (const document of documents) readManifest(document, manifests, seen)
  return manifests
}

function readManifest(document: ConfigDocument, into: Manifests, seen: Map<string, ConfigDocument>): void {
  if (document.manifest === undefined || document.manifest === routerConfiguration) return
  const verdict = judgeKind(document.manifest)
  if ('warning' in verdict) {
    into.warnings.push(problemAt(document, ['kind'], verdict.warning))
    return
  }
  if ('problem' in verdict) {
    into.problems.push(problemAt(document, [verdict.key], verdict.problem, { hint: verdict.hint }))
    return
  }
  const { schema, place } = readers[verdict.read]
  const result = schema.safeParse(withoutNulls(document.value))
  if (!result.success) {
    into.problems.push(...issueProblems(document, result.error.issues))
    into.refused.add(`${verdict.read} ${rawKey(document.value)}`)
    return
  }
  const { namespace, name } = result.data.metadata
  const key = `${namespace}/${name}`
  const earlier = seen.get(`${verdict.read} ${key}`)
  if (earlier !== undefined) {
    const { file, line } = earlier.place(['metadata', 'name'])
    const message = `${verdict.read} ${key} stands here a second time; the first is in ${file}, line ${line}`
    into.problems.push(problemAt(document, ['metadata', 'name'], message))
    return
  }
  seen.set(`${verdict.read} ${key}`, document)
  const list = into[place] as Manifest<unknown>[]
  list.push({ document, key, value: result.data })
}

function rawKey(value: unknown): string {
  const text = (key: string): string | undefined => {
    const part = valueAt(value, ['metadata', key])
    return typeof part === 'string' ? part : undefined
  }
  return `${text('namespace') ?? 'default'}/${text('name') ?? ''}`
}

/** To the API server a key with null is a key left out. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== null)
      .map(([key, item]) => [key, withoutNulls(item)]),
  )
}
