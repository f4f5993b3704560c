import type { ManifestKind } from '#config/config-document.ts'
import { hintFor } from '#config/issue-problems.ts'

/** API group and version of the native resources. */
export const nativeApiVersion = 'networking.serving.volcano.sh/v1alpha1'

/** Kinds that are read, with the API version that they must have. */
export const readKinds = {
  ModelRoute: nativeApiVersion,
  ModelServer: nativeApiVersion,
  ExternalModelProvider: nativeApiVersion,
  Secret: 'v1',
  Pod: 'v1',
  Service: 'v1',
  EndpointSlice: 'discovery.k8s.io/v1',
  EndpointPickerConfig: 'llm-d.ai/v1alpha1',
} as const

/** Former API versions of kinds that are read. */
const formerVersions: Readonly<Record<string, string>> = {
  EndpointPickerConfig: 'inference.networking.x-k8s.io/v1alpha1',
}

/** A kind that is read. */
export type ReadKind = keyof typeof readKinds

/** Kinds that mean something to a gateway and are not read by this version: never passed over in silence. */
export const laterKinds: ReadonlySet<string> = new Set([
  'InferencePool',
  'InferenceObjective',
  'InferenceModelRewrite',
  'InferenceModel',
  'HTTPRoute',
  'GRPCRoute',
  'Gateway',
  'GatewayClass',
  'ReferenceGrant',
])

/** Kinds that stand in the same files, and of which nothing here depends. */
export const ignoredKinds: ReadonlySet<string> = new Set([
  'AutoscalingPolicy',
  'AutoscalingPolicyBinding',
  'ClusterRole',
  'ClusterRoleBinding',
  'ConfigMap',
  'CronJob',
  'CustomResourceDefinition',
  'DaemonSet',
  'Deployment',
  'Endpoints',
  'Event',
  'HorizontalPodAutoscaler',
  'Ingress',
  'Job',
  'Kustomization',
  'LeaderWorkerSet',
  'Lease',
  'LimitRange',
  'ModelBooster',
  'ModelServing',
  'Namespace',
  'NetworkPolicy',
  'Node',
  'PersistentVolume',
  'PersistentVolumeClaim',
  'PodDisruptionBudget',
  'PodGroup',
  'PodMonitor',
  'PriorityClass',
  'ReplicaSet',
  'ResourceQuota',
  'Role',
  'RoleBinding',
  'ServiceAccount',
  'ServiceMonitor',
  'StatefulSet',
  'StorageClass',
  'ValidatingWebhookConfiguration',
])

/** What becomes of a manifest: it is read, passed over with a warning, or refused. */
export type KindVerdict =
  | { readonly read: ReadKind }
  | { readonly warning: string }
  | { readonly problem: string; readonly key: 'kind' | 'apiVersion'; readonly hint?: string | undefined }

/** Judges the two fields that say what a manifest is. */
export function judgeKind({ apiVersion, kind }: ManifestKind): KindVerdict {
  if (kind === '') return { problem: "'kind' is missing beside 'apiVersion'", key: 'apiVersion', hint: manifestHint }
  if (Object.hasOwn(readKinds, kind)) {
    const wanted = readKinds[kind as ReadKind]
    if (apiVersion === wanted || apiVersion === formerVersions[kind]) return { read: kind as ReadKind }
    // A Service of another group (Knative has one) is none of ours.
    if (isOfCluster(kind) && apiVersion.includes('.') && !apiVersion.startsWith('discovery.k8s.io/')) {
      return { warning: `${kind} of ${apiVersion} is not read` }
    }
    const found = apiVersion === '' ? "'apiVersion' is missing" : `${kind} is not known in '${apiVersion}'`
    return { problem: found, key: apiVersion === '' ? 'kind' : 'apiVersion', hint: `write 'apiVersion: ${wanted}'` }
  }
  if (laterKinds.has(kind)) {
    return {
      problem: `this version does not support ${kind} yet`,
      key: 'kind',
      hint: `kinds that are read: ${kindList}`,
    }
  }
  if (ignoredKinds.has(kind)) return { warning: `${kind} is not read: nothing here depends on it` }
  return { problem: `unknown kind '${kind}'`, key: 'kind', hint: hintFor(kind, kindNames, 'kinds that are read') }
}

/** Whether a kind is one of Kubernetes' own. */
function isOfCluster(kind: string): boolean {
  return ['Secret', 'Pod', 'Service', 'EndpointSlice'].includes(kind)
}

const kindNames = Object.keys(readKinds)
const kindList = kindNames.join(', ')
const manifestHint = 'a Kubernetes manifest has both; leave both out for the short form'
