import type { MetricDefinition, MetricOrigin, MetricType } from './metric-definition.ts'

/**
 * Every metric of the gateway, once. Names that begin with `gen_ai_` are those of the OpenTelemetry GenAI conventions
 * (open-telemetry/semantic-conventions-genai, docs/gen-ai/gen-ai-metrics.md, status Development) in Prometheus form:
 * dots become underscores and the unit is appended; their labels and buckets are the ones given there. The rest is ours.
 */

/** Label value for names that the configuration does not know, and for series beyond the bound. */
export const otherLabel = 'other'

/** Label value where there is nothing to name: a request refused before its model was read, say. */
export const noneLabel = 'none'

interface Details<Label extends string> {
  readonly help: string
  readonly labels: readonly Label[]
  readonly origin: MetricOrigin
  readonly unit?: string
  readonly buckets?: readonly number[]
  readonly convention?: string
}

function define<Type extends MetricType, Label extends string>(
  type: Type,
  name: string,
  details: Details<Label>,
): MetricDefinition<Type, Label> {
  return { name, type, unit: '', buckets: [], convention: undefined, ...details }
}

const counter = <Label extends string>(name: string, details: Details<Label>) => define('counter', name, details)
const gauge = <Label extends string>(name: string, details: Details<Label>) => define('gauge', name, details)
const histogram = <Label extends string>(name: string, details: Details<Label>) => define('histogram', name, details)

const genAiLabels = ['gen_ai_operation_name', 'gen_ai_provider_name', 'gen_ai_request_model'] as const
const endpointLabels = ['model_server', 'endpoint'] as const

/** From 10 us, what a small request costs, to 1 s, what only a stall costs. */
const overheadBuckets = [
  0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1,
]

/** The catalog, by the name used in code. */
export const metrics = {
  requests: counter('infer_gateway_requests_total', {
    help: 'Requests that ended, by what the client got; status 0 means that it left before it got one.',
    labels: ['model', 'api', 'status'],
    origin: 'data',
  }),
  requestDuration: histogram('gen_ai_server_request_duration_seconds', {
    help: 'Time from the first byte of a request to the end of its answer. error_type is empty when all went well, else a refusal reason, client-abort, or the status of the engine.',
    unit: 'seconds',
    labels: [...genAiLabels, 'error_type'],
    buckets: [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92],
    origin: 'data',
    convention: 'gen_ai.server.request.duration',
  }),
  timeToFirstToken: histogram('gen_ai_server_time_to_first_token_seconds', {
    help: 'Time from the first byte of a request to the first token of its streamed answer, successful ones only.',
    unit: 'seconds',
    labels: genAiLabels,
    buckets: [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
    origin: 'data',
    convention: 'gen_ai.server.time_to_first_token',
  }),
  timePerOutputToken: histogram('gen_ai_server_time_per_output_token_seconds', {
    help: 'Mean time per output token after the first, one value per successful stream.',
    unit: 'seconds',
    labels: genAiLabels,
    buckets: [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5],
    origin: 'data',
    convention: 'gen_ai.server.time_per_output_token',
  }),
  tokenUsage: histogram('gen_ai_client_token_usage', {
    help: 'Tokens of one request as the engine reported them; gen_ai_token_type is input or output.',
    labels: [...genAiLabels, 'gen_ai_token_type'],
    buckets: [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864],
    origin: 'data',
    convention: 'gen_ai.client.token.usage',
  }),
  tokens: counter('infer_gateway_tokens_total', {
    help: 'Tokens as the engines reported them; type is input, output or cached (the part of input that came from a prefix cache).',
    labels: ['model', 'type'],
    origin: 'data',
  }),
  requestsInFlight: gauge('infer_gateway_requests_in_flight', {
    help: 'Requests that the gateway is working on.',
    labels: ['model'],
    origin: 'data',
  }),
  attempts: counter('infer_gateway_upstream_attempts_total', {
    help: 'Tries at endpoints; result is ok (an answer came that was passed on, whatever its status) or the reason of the failure.',
    labels: ['model_server', 'result'],
    origin: 'data',
  }),
  retries: counter('infer_gateway_upstream_retries_total', {
    help: 'Tries that followed a failed one; model_server and reason are those of the failure.',
    labels: ['model_server', 'reason'],
    origin: 'data',
  }),
  refusals: counter('infer_gateway_refusals_total', {
    help: 'Requests that the gateway itself refused or cut, by the reason in the x-infer-reason header.',
    labels: ['reason'],
    origin: 'data',
  }),
  skippedTargets: counter('infer_gateway_skipped_targets_total', {
    help: 'Times a model server was passed over for its siblings because no endpoint of it was usable.',
    labels: ['model_server'],
    origin: 'data',
  }),
  scorerFallbacks: counter('infer_gateway_scorer_fallbacks_total', {
    help: 'Requests placed by least-request because the scorer of their profile had no signal for any endpoint.',
    labels: ['model_server', 'scorer'],
    origin: 'data',
  }),
  prefixReachable: counter('infer_gateway_prefix_reachable_tokens_total', {
    help: 'Prompt tokens that the endpoint in service which held most of them had in its cache, as far as the gateway knew, over all requests placed by profiles that know caches.',
    labels: ['model_server'],
    origin: 'data',
  }),
  prefixRealized: counter('infer_gateway_prefix_realized_tokens_total', {
    help: 'Prompt tokens that the endpoint chosen had in its cache, as far as the gateway knew; what lacks to infer_gateway_prefix_reachable_tokens_total was given away for another advantage, such as a shorter queue.',
    labels: ['model_server'],
    origin: 'data',
  }),
  prefixCopies: histogram('infer_gateway_prefix_copies', {
    help: 'How many endpoints in service had the prefix of a request when it was placed: at least half of what the one with most of it had, as far as the gateway knew. Only requests of whose prompt some endpoint had 1,024 tokens or more are counted.',
    labels: ['model_server'],
    buckets: [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64],
    origin: 'data',
  }),
  overhead: histogram('infer_gateway_overhead_seconds', {
    help: 'Time a request spent in the gateway: phase before is from the end of its body to the first write upstream, phase after from the end of the answer upstream to the last write to the client.',
    unit: 'seconds',
    labels: ['phase'],
    buckets: overheadBuckets,
    origin: 'data',
  }),
  bodyBytes: counter('infer_gateway_body_bytes_total', {
    help: 'Bytes of bodies; direction is in (requests) or out (answers).',
    unit: 'bytes',
    labels: ['direction'],
    origin: 'data',
  }),
  clientAborts: counter('infer_gateway_client_aborts_total', {
    help: 'Clients that left before their answer was complete, by how far the request had come.',
    labels: ['phase'],
    origin: 'data',
  }),
  cutStreams: counter('infer_gateway_streams_cut_total', {
    help: 'Answers that had begun and were ended by the gateway before they were complete.',
    labels: ['reason'],
    origin: 'data',
  }),
  errorEvents: counter('infer_gateway_stream_error_events_total', {
    help: 'Streams in which the engine reported an error that was passed on to the client, because content had gone before it or no other try was allowed.',
    labels: ['model_server'],
    origin: 'data',
  }),
  connectionsOpen: gauge('infer_gateway_connections_open', {
    help: 'Open client connections.',
    labels: ['listener'],
    origin: 'data',
  }),
  tunnelsOpen: gauge('infer_gateway_tunnels_open', {
    help: 'Open WebSocket tunnels of the realtime API.',
    labels: ['model'],
    origin: 'data',
  }),
  heapUsed: gauge('infer_gateway_heap_used_bytes', {
    help: 'Heap of a data thread, garbage that is not yet collected included.',
    unit: 'bytes',
    labels: ['thread'],
    origin: 'data',
  }),
  shedding: gauge('infer_gateway_shedding', {
    help: '1 while a data thread sheds new requests; cause is lag (its timers come late), memory (of the process) or heap (of the thread).',
    labels: ['thread', 'cause'],
    origin: 'data',
  }),
  tlsHandshakeFailures: counter('infer_gateway_tls_handshake_failures_total', {
    help: 'TLS handshakes of clients that failed; reason is one of timeout, closed, not-tls, no-shared-version, no-shared-cipher, no-shared-protocol, no-client-certificate, bad-client-certificate, rejected-by-client, other.',
    labels: ['listener', 'reason'],
    origin: 'data',
  }),
  accessLogDropped: counter('infer_gateway_access_log_lines_dropped_total', {
    help: 'Access log lines thrown away because whoever reads the log is too slow, or gone.',
    labels: [],
    origin: 'data',
  }),
  eventLoopDelay: histogram('infer_gateway_event_loop_delay_seconds', {
    help: 'How late a timer of 20 ms fires: the wait that every event of this thread has. Timers are exact to 1 ms.',
    unit: 'seconds',
    labels: ['thread'],
    buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1],
    origin: 'data',
  }),
  configReloads: counter('infer_gateway_config_reloads_total', {
    help: 'Loads of the configuration, the first one included; result is ok or failed.',
    labels: ['result'],
    origin: 'main',
  }),
  configReloadOk: gauge('infer_gateway_config_last_reload_successful', {
    help: '1 when the last load of the configuration succeeded, 0 when it failed and the one before stays in force.',
    labels: [],
    origin: 'main',
  }),
  configReloadTime: gauge('infer_gateway_config_last_success_timestamp_seconds', {
    help: 'When the configuration in force was loaded, in Unix time.',
    unit: 'seconds',
    labels: [],
    origin: 'main',
  }),
  snapshotVersion: gauge('infer_gateway_snapshot_version', {
    help: 'Version of the configuration in force; grows by one with every change.',
    labels: [],
    origin: 'main',
  }),
  info: gauge('infer_gateway_info', {
    help: 'Always 1; the labels say what runs.',
    labels: ['version'],
    origin: 'main',
  }),
  threads: gauge('infer_gateway_threads', {
    help: 'Threads that write metrics.',
    labels: [],
    origin: 'read at scrape',
  }),
  threadRestarts: counter('infer_gateway_thread_restarts_total', {
    help: 'Data threads that died, or hung and were ended, and were replaced.',
    labels: ['thread'],
    origin: 'read at scrape',
  }),
  threadStalled: gauge('infer_gateway_thread_stalled_seconds', {
    help: 'How long a data thread has not run its event loop, from 3 s on; 0 while it runs.',
    unit: 'seconds',
    labels: ['thread'],
    origin: 'read at scrape',
  }),
  seriesFolded: counter('infer_gateway_metric_series_folded_total', {
    help: 'Times a series was folded into the one named other, because its metric had too many or the memory was full.',
    labels: [],
    origin: 'read at scrape',
  }),
  endpointReady: gauge('infer_gateway_endpoint_ready', {
    help: '1 when the endpoint is ready, 0 when it is not; absent while nothing is known of it.',
    labels: endpointLabels,
    origin: 'read at scrape',
  }),
  endpointState: gauge('infer_gateway_endpoint_state', {
    help: '1 for the state that the breaker of the endpoint is in (closed, slow-start, ejected or half-open), 0 for the others.',
    labels: [...endpointLabels, 'state'],
    origin: 'read at scrape',
  }),
  endpointEjections: counter('infer_gateway_endpoint_ejections_total', {
    help: 'Times the endpoint was ejected, by reason: streak (failures in a row), ratio (too few successes) or probe (the probe after an ejection failed).',
    labels: [...endpointLabels, 'reason'],
    origin: 'read at scrape',
  }),
  endpointRunning: gauge('infer_gateway_endpoint_requests_running', {
    help: 'Requests in the batch of the engine, as last scraped; absent when unknown or stale.',
    labels: endpointLabels,
    origin: 'read at scrape',
  }),
  endpointWaiting: gauge('infer_gateway_endpoint_requests_waiting', {
    help: 'Requests waiting in the engine, as last scraped; absent when unknown or stale.',
    labels: endpointLabels,
    origin: 'read at scrape',
  }),
  endpointKvUse: gauge('infer_gateway_endpoint_kv_use_ratio', {
    help: 'Share of the KV cache in use, 0 to 1, as last scraped; absent when unknown or stale.',
    unit: 'ratio',
    labels: endpointLabels,
    origin: 'read at scrape',
  }),
  endpointInFlight: gauge('infer_gateway_endpoint_requests_in_flight', {
    help: 'Requests that this gateway has on the endpoint.',
    labels: endpointLabels,
    origin: 'read at scrape',
  }),
  inFlightImbalance: gauge('infer_gateway_in_flight_imbalance_ratio', {
    help: 'Requests that this gateway has on the busiest endpoint of a model server, divided by the mean over its endpoints: 1 is even; absent while there are none.',
    unit: 'ratio',
    labels: ['model_server'],
    origin: 'read at scrape',
  }),
  kvEventState: gauge('infer_gateway_kv_event_state', {
    help: '1 for how the KV events of the endpoint stand (live, partial, replaying, quiet or broken), 0 for the others; absent without kvEvents. Only live and partial are used.',
    labels: [...endpointLabels, 'state'],
    origin: 'read at scrape',
  }),
  kvEventBlocks: gauge('infer_gateway_kv_event_blocks', {
    help: 'KV blocks that the endpoint holds by its events.',
    labels: endpointLabels,
    origin: 'read at scrape',
  }),
  kvEventIncidents: counter('infer_gateway_kv_event_incidents_total', {
    help: 'What happened to the KV events of the endpoint, by kind: batch (read), gap (numbers missing), restart (of the engine), replay (asked for), failure (events dropped until they could be read anew).',
    labels: [...endpointLabels, 'kind'],
    origin: 'read at scrape',
  }),
  promptTokens: counter('infer_gateway_prompt_tokenizations_total', {
    help: 'Prompts whose tokens engines were asked for, by result: learned, failed, or dropped because too many waited.',
    labels: ['result'],
    origin: 'read at scrape',
  }),
  endpointErrors: gauge('infer_gateway_endpoint_consecutive_errors', {
    help: 'Failures of the endpoint since its last success.',
    labels: endpointLabels,
    origin: 'read at scrape',
  }),
  endpointTtft: gauge('infer_gateway_endpoint_time_to_first_token_seconds', {
    help: 'Time to the first byte of answers as the scheduler sees it, exponentially weighted; absent before the first.',
    unit: 'seconds',
    labels: endpointLabels,
    origin: 'read at scrape',
  }),
  endpointTpot: gauge('infer_gateway_endpoint_time_per_output_token_seconds', {
    help: 'Time per output token as the scheduler sees it, exponentially weighted; absent before the first.',
    unit: 'seconds',
    labels: endpointLabels,
    origin: 'read at scrape',
  }),
  scrapeAge: gauge('infer_gateway_scrape_age_seconds', {
    help: 'Time since the last successful scrape of the endpoint; absent before the first.',
    unit: 'seconds',
    labels: endpointLabels,
    origin: 'read at scrape',
  }),
  scrapeDuration: gauge('infer_gateway_scrape_duration_seconds', {
    help: 'How long the last scrape of the endpoint took.',
    unit: 'seconds',
    labels: endpointLabels,
    origin: 'read at scrape',
  }),
  scrapeFailures: counter('infer_gateway_scrape_failures_total', {
    help: 'Scrapes of the endpoint that failed.',
    labels: endpointLabels,
    origin: 'read at scrape',
  }),
} as const

/** The catalog in the order of the reference page. */
export const allMetrics: readonly MetricDefinition[] = Object.values(metrics)
