import type { EndpointSliceObject, PodObject } from '#config/manifests/cluster-schemas.ts'
import type { ModelServerObject } from '#config/manifests/model-server-schema.ts'
import type { Manifest, Manifests } from '#config/manifests/read-manifests.ts'
import type { EndpointRole } from '#core/endpoint.ts'

type Labels = Readonly<Record<string, string>>

/** An address that a ModelServer selects. */
export interface SelectedAddress {
  readonly host: string
  readonly role: EndpointRole
  readonly labels: Labels
}

/** Label by which an EndpointSlice names its Service. */
const serviceNameLabel = 'kubernetes.io/service-name'

/** Most labels kept of an endpoint. */
const maxLabels = 32

function matches(labels: Labels, selector: Labels): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value)
}

/**
 * The addresses that a ModelServer selects among the manifests of its namespace: of Pods that carry its labels, and of
 * EndpointSlices that belong to them. A slice belongs to the server when it carries the labels itself, or when its
 * Service (label `kubernetes.io/service-name`) asks for at least these labels in its selector, or carries them. An
 * address of a slice whose Pod is here too is judged by the Pod.
 */
export function selectedAddresses(server: Manifest<ModelServerObject>, manifests: Manifests): SelectedAddress[] {
  const { matchLabels } = server.value.spec.workloadSelector
  const { namespace } = server.value.metadata
  const isHere = (manifest: Manifest<{ readonly metadata: { readonly namespace: string } }>): boolean =>
    manifest.value.metadata.namespace === namespace
  const byHost = new Map<string, SelectedAddress>()
  const add = (host: string, labels: Labels): void => {
    if (!byHost.has(host)) byHost.set(host, { host, role: roleOf(labels, server.value), labels: few(labels) })
  }
  const pods = manifests.pods.filter(isHere)
  for (const { value: pod } of pods) {
    const address = matches(pod.metadata.labels, matchLabels) ? readyAddress(pod) : undefined
    if (address !== undefined) add(address, pod.metadata.labels)
  }
  // Labels and readiness of these have been looked at above.
  const judged = new Set(pods.map(({ value }) => `${value.metadata.name} ${value.status?.podIP ?? ''}`))
  for (const { value: slice } of manifests.endpointSlices.filter(isHere)) {
    if (!belongs(slice, matchLabels, manifests)) continue
    for (const { addresses, targetRef } of slice.endpoints.filter(isServing)) {
      if (judged.has(`${targetRef?.name ?? ''} ${addresses[0] ?? ''}`)) continue
      for (const address of addresses) add(address, slice.metadata.labels)
    }
  }
  return [...byHost.values()]
}

function isServing({ conditions }: EndpointSliceObject['endpoints'][number]): boolean {
  return conditions.ready !== false && conditions.terminating !== true
}

/**
 * The address of a Pod that may get requests. Kubernetes takes a Pod into service when it runs and is ready; a Pod that
 * is written by hand need say neither.
 */
function readyAddress({ metadata, status }: PodObject): string | undefined {
  if (metadata.deletionTimestamp !== undefined) return undefined
  if (status?.phase !== undefined && status.phase !== 'Running') return undefined
  const ready = status?.conditions.find(({ type }) => type === 'Ready')
  return ready === undefined || ready.status === 'True' ? status?.podIP : undefined
}

function belongs(slice: EndpointSliceObject, matchLabels: Labels, manifests: Manifests): boolean {
  const { labels, namespace } = slice.metadata
  if (matches(labels, matchLabels)) return true
  const key = `${namespace}/${labels[serviceNameLabel] ?? ''}`
  const service = manifests.services.find((candidate) => candidate.key === key)?.value
  if (service === undefined) return false
  return matches(service.spec.selector, matchLabels) || matches(service.metadata.labels, matchLabels)
}

/** Decode labels are looked at first, so an endpoint that carries both is a decode endpoint (kthena-router.md 1.2). */
function roleOf(labels: Labels, server: ModelServerObject): EndpointRole {
  const group = server.spec.workloadSelector.pdGroup
  if (group === undefined) return 'both'
  if (matches(labels, group.decodeLabels)) return 'decode'
  return matches(labels, group.prefillLabels) ? 'prefill' : 'both'
}

function few(labels: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).slice(0, maxLabels))
}
