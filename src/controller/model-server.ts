import type { ModelServerObject } from '#config/manifests/model-server-schema.ts'
import type { Manifest, Manifests } from '#config/manifests/read-manifests.ts'
import { ejectionSchema } from '#config/schema/model-schema.ts'
import { defaultScrapeIntervalMs, scrapeDefaults } from '#config/scrape-defaults.ts'
import type { EjectionPlan, ModelServerPlan, RetryPlan, Timeouts } from '#config/snapshot.ts'
import type { EngineName } from '#core/endpoint.ts'
import { selectedAddresses } from './cluster-endpoints.ts'
import { ejectionPlanOf } from './ejection-plan.ts'
import { endpointsOf, kvEventsOf } from './endpoints.ts'
import { type Findings, warn } from './findings.ts'

const engines: Readonly<Record<ModelServerObject['spec']['inferenceEngine'], EngineName>> = {
  vLLM: 'vllm',
  SGLang: 'sglang',
}

/** Waits of a model server whose manifest says nothing (design 5). */
export const defaultTimeouts: Timeouts = {
  connectMs: 5000,
  firstByteMs: 120_000,
  idleMs: 60_000,
  totalMs: 0,
  tunnelIdleMs: 600_000,
}

/** Retries of a model server whose manifest says nothing (design 5). */
export const defaultRetry: RetryPlan = { attempts: 2, intervalMs: 0, afterSent: 1 }

/** Ejection of endpoints whose manifest says nothing: the defaults of the short form. */
export const defaultEjection: EjectionPlan = ejectionPlanOf(ejectionSchema.parse({}))

/**
 * A ModelServer and the endpoints it selects. `trafficPolicy.timeout` is the budget of each try up to the first byte of
 * its answer, as kthena-router.md 2.6 has it; one port serves requests and metrics.
 */
export function translateModelServer(
  manifest: Manifest<ModelServerObject>,
  manifests: Manifests,
  findings: Findings,
): ModelServerPlan {
  const { document, key, value } = manifest
  const { model, inferenceEngine, workloadPort, workloadSelector, trafficPolicy } = value.spec
  const engine = engines[inferenceEngine]
  const usual = scrapeDefaults[engine]
  const scrape = usual === undefined ? undefined : { ...usual, intervalMs: defaultScrapeIntervalMs }
  const kvEvents = kvEventsOf(value.spec.kvEvents)
  const addresses = selectedAddresses(manifest, manifests)
  if (addresses.length === 0) {
    const message = `ModelServer ${key} has no endpoint: no ready Pod or EndpointSlice here carries its labels`
    warn(findings, { document, path: ['spec', 'workloadSelector', 'matchLabels'] }, message, { spot: 'key' })
  }
  if (workloadSelector.pdGroup !== undefined) {
    const message = 'prefill and decode roles are noted, but this version sends whole requests to every endpoint'
    warn(findings, { document, path: ['spec', 'workloadSelector', 'pdGroup'] }, message, { spot: 'key' })
  }
  const { retry, timeout } = trafficPolicy ?? {}
  return {
    key,
    engine,
    servedModel: model === undefined || model === '' ? undefined : model,
    endpoints: addresses.flatMap(({ host, role, labels }) =>
      endpointsOf({ host, port: workloadPort.port, engine, scrape, ...kvEvents, rank: undefined, role, labels }, 1),
    ),
    tls:
      workloadPort.protocol === 'https'
        ? { ca: undefined, serverName: undefined, certificate: undefined, insecureSkipVerify: false }
        : undefined,
    basePath: '',
    setHeaders: [],
    timeouts: timeout === undefined ? defaultTimeouts : { ...defaultTimeouts, firstByteMs: timeout },
    retry:
      retry === undefined
        ? defaultRetry
        : { ...defaultRetry, attempts: retry.attempts, intervalMs: retry.retryInterval },
    ejection: defaultEjection,
    profile: value.spec.profile ?? 'default',
    scrape,
    injectUsage: true,
  }
}
