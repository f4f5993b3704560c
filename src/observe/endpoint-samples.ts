import { metrics } from './catalog.ts'
import { type Sample, sampleOf } from './metric-definition.ts'
import type { EndpointReport, KvEventReport } from './status-report.ts'

/** The metrics of the endpoints, read from the same report as the status page. For `MetricsRegistry.addCollector`. */
export function endpointSamples(endpoints: readonly EndpointReport[]): Sample[] {
  return [...endpoints.flatMap(samplesOfEndpoint), ...imbalances(endpoints)]
}

/** The busiest endpoint against the mean, by model server. */
function imbalances(endpoints: readonly EndpointReport[]): Sample[] {
  const byServer = Map.groupBy(endpoints, ({ modelServer }) => modelServer)
  return Array.from(byServer, ([server, reports]) => {
    const counts = reports.map(({ inFlight }) => inFlight)
    const sum = counts.reduce((total, count) => total + count, 0)
    const most = counts.reduce((greatest, count) => Math.max(greatest, count), 0)
    return sampleOf(
      metrics.inFlightImbalance,
      { model_server: server },
      sum > 0 ? (most * counts.length) / sum : Number.NaN,
    )
  })
}

const states: readonly EndpointReport['state'][] = ['closed', 'slow-start', 'ejected', 'half-open']
const eventStates = ['live', 'partial', 'replaying', 'quiet', 'broken'] as const
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
    ...(report.kvEvents === undefined ? [] : samplesOfEvents(report.kvEvents, labels)),
  ]
}

function samplesOfEvents(
  report: KvEventReport,
  labels: { readonly model_server: string; readonly endpoint: string },
): Sample[] {
  const { batches, gaps, restarts, replays, failures } = report
  const kinds = { batch: batches, gap: gaps, restart: restarts, replay: replays, failure: failures }
  return [
    ...eventStates.map((state) => sampleOf(metrics.kvEventState, { ...labels, state }, report.state === state ? 1 : 0)),
    sampleOf(metrics.kvEventBlocks, labels, report.blocks),
    ...Object.entries(kinds).map(([kind, count]) => sampleOf(metrics.kvEventIncidents, { ...labels, kind }, count)),
  ]
}

/** What became of questions for the tokens of prompts. For `MetricsRegistry.addCollector`. */
export function promptTokenSamples(counts: Readonly<Record<'learned' | 'failed' | 'dropped', number>>): Sample[] {
  return Object.entries(counts).map(([result, count]) => sampleOf(metrics.promptTokens, { result }, count))
}
