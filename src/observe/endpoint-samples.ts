import { metrics } from './catalog.ts'
import { type Sample, sampleOf } from './metric-definition.ts'
import type { EndpointReport } from './status-report.ts'

/** The metrics of the endpoints, read from the same report as the status page. For `MetricsRegistry.addCollector`. */
export function endpointSamples(endpoints: readonly EndpointReport[]): Sample[] {
  return endpoints.flatMap(samplesOfEndpoint)
}

const states: readonly EndpointReport['state'][] = ['closed', 'slow-start', 'ejected', 'half-open']
const reasons = ['streak', 'ratio', 'probe'] as const

const seconds = (durationMs: number | undefined): number => (durationMs ?? Number.NaN) / 1000

function readyValue(health: EndpointReport['health']): number {
  if (health === 'unknown') return Number.NaN
  return health === 'ready' ? 1 : 0
}

function samplesOfEndpoint(report: EndpointReport): Sample[] {
  const labels = { model_server: report.modelServer, endpoint: report.endpoint }
  return [
    sampleOf(metrics.endpointReady, labels, readyValue(report.health)),
    ...states.map((state) => sampleOf(metrics.endpointState, { ...labels, state }, report.state === state ? 1 : 0)),
    ...reasons.map((reason) => sampleOf(metrics.endpointEjections, { ...labels, reason }, report.ejections[reason])),
    sampleOf(metrics.endpointRunning, labels, report.running ?? Number.NaN),
    sampleOf(metrics.endpointWaiting, labels, report.waiting ?? Number.NaN),
    sampleOf(metrics.endpointKvUse, labels, report.kvUse ?? Number.NaN),
    sampleOf(metrics.endpointInFlight, labels, report.inFlight),
    sampleOf(metrics.endpointErrors, labels, report.consecutiveErrors),
    sampleOf(metrics.endpointTtft, labels, seconds(report.ttftMs)),
    sampleOf(metrics.endpointTpot, labels, seconds(report.tpotMs)),
    sampleOf(metrics.scrapeAge, labels, seconds(report.scrapeAgeMs)),
    sampleOf(metrics.scrapeDuration, labels, seconds(report.scrapeMs)),
    sampleOf(metrics.scrapeFailures, labels, report.scrapeFailures),
  ]
}
