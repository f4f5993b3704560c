import { z } from 'zod'
import { parseBaseUrl } from '#config/base-url.ts'
import { providerNames } from '#config/providers.ts'
import { engineNames } from '#core/endpoint.ts'
import { sessionSources } from './gateway-schema.ts'
import {
  anyText,
  byForm,
  duration,
  flag,
  numberBetween,
  oneOf,
  port,
  scalar,
  strict,
  text,
  wholeNumber,
} from './scalars.ts'

/** A base URL, taken apart. */
export function baseUrl() {
  return scalar('URL', (value) => {
    if (typeof value !== 'string') return { fails: "must be a URL, such as 'http://10.0.0.11:8000'" }
    const parsed = parseBaseUrl(value)
    return 'fails' in parsed ? parsed : { value: parsed }
  })
}

/** How the metrics page is read. */
export const scrapeSchema = strict({
  path: scalar('path', (value) =>
    typeof value === 'string' && /^\/[^\s?#]*$/.test(value)
      ? { value }
      : { fails: "must be a path such as '/metrics'" },
  )
    .optional()
    .describe('Path of the metrics page.')
    .meta({ defaultText: 'by engine' }),
  port: port()
    .optional()
    .describe('Port of the metrics page.')
    .meta({ defaultText: 'the port of the endpoint; 8002 for `triton`' }),
  interval: duration(10).prefault('200ms').describe('Pause between two readings.'),
})

const neverTrue = scalar<false>('false', (value) =>
  value === false ? { value } : { fails: "must be false or a mapping; leave it out to read the engine's usual page" },
)

/** A scrape plan or `false`. */
export function scrape() {
  return byForm({ boolean: neverTrue, mapping: scrapeSchema }, '`false` or a mapping')
}

/** Where engines publish their KV events. */
export const kvEventsSchema = strict({
  discover: flag()
    .prefault(false)
    .describe(
      'Asks each engine for its ports (`GET /kv_event_sources`, vLLM from 0.32); those below serve where it cannot tell.',
    ),
  port: port()
    .prefault(5557)
    .describe('Port of the published events (`endpoint` of the engine), on the host of each endpoint; rank r adds r.'),
  replayPort: port()
    .optional()
    .describe('Port where past events can be asked for (`replay_endpoint`); rank r adds r.')
    .meta({ defaultText: 'none: only what is stored from now on is known' }),
})

/** A DNS name with many addresses. */
export const dnsSchema = strict({
  name: text(253).describe('Name whose A and AAAA records are the endpoints.'),
  port: port().describe('Port of every endpoint.'),
  protocol: oneOf(['http', 'https']).prefault('http').describe('Protocol of every endpoint.'),
  interval: duration(1000).prefault('10s').describe('Pause between two look-ups.'),
})

const labels = z.record(z.string(), anyText(256))

/** An endpoint with more to say than its URL. */
export const endpointSchema = strict({
  url: baseUrl().optional().describe('Base URL: this or `dns` must be given.'),
  dns: dnsSchema.optional().describe('DNS name that is looked up again and again; each address is an endpoint.'),
  engine: oneOf(engineNames)
    .optional()
    .describe('Software behind this endpoint.')
    .meta({ defaultText: 'that of the model' }),
  scrape: scrape().optional().describe('Metrics page of this endpoint.').meta({ defaultText: 'that of the model' }),
  kvEvents: kvEventsSchema
    .optional()
    .describe('KV events of this endpoint.')
    .meta({ defaultText: 'those of the model' }),
  rank: wholeNumber(0, 1023).optional().describe('Data-parallel rank, sent as `x-data-parallel-rank`.'),
  role: oneOf(['both', 'prefill', 'decode']).prefault('both').describe('Role in prefill/decode disaggregation.'),
  labels: labels.prefault({}).describe('Labels shown on the status page and to plug-ins.'),
  capacity: numberBetween(0.01, 100)
    .optional()
    .describe(
      'How much this endpoint can do, compared with the others of the model: 2 is twice as much as 1. `least-request` shares requests out by it; the house profile goes by it until it has seen how fast the endpoint is.',
    )
    .meta({ defaultText: '`1`' }),
})

/** The timeouts. */
export const timeoutsSchema = strict({
  connect: duration(1).prefault('5s').describe('For the connection to an endpoint.'),
  firstByte: duration(1).prefault('120s').describe("From the request to the first byte of the answer's body, per try."),
  idle: duration(1).prefault('60s').describe('Longest pause in the middle of an answer.'),
  total: duration(0).prefault('0').describe('Whole request; `0` means no limit.'),
  tunnelIdle: duration(1).prefault('10m').describe('Longest silence of a WebSocket of the realtime API.'),
})

/** Tries after the first. */
export const retrySchema = strict({
  attempts: wholeNumber(0, 10).prefault(2).describe('Further tries on other endpoints, before the first byte only.'),
  interval: duration(0, 60_000).prefault('0').describe('Pause before a further try.'),
  afterSent: wholeNumber(0, 10)
    .prefault(1)
    .describe(
      'How many of them may follow an endpoint that had the whole request and broke off: it may be the request. A kept connection that breaks within a second of the request does not count: the endpoint had closed it.',
    ),
})

/** Passive health of endpoints. */
export const ejectionSchema = strict({
  failures: wholeNumber(0, 1000).prefault(3).describe('Failures in a row that eject an endpoint; `0` never.'),
  successRatio: numberBetween(0, 1).prefault(0.5).describe('Share of successes below which it is ejected; `0` never.'),
  minRequests: wholeNumber(1, 1_000_000).prefault(20).describe('Requests in the window before the ratio counts.'),
  window: duration(100, 3_600_000).prefault('10s').describe('Window of the ratio.'),
  time: duration(1, 3_600_000).prefault('1s').describe('First ejection; each that follows takes twice as long.'),
  maxTime: duration(1, 3_600_000).prefault('30s').describe('Longest ejection.'),
  slowStart: duration(0, 3_600_000)
    .prefault('10s')
    .describe('How long an endpoint that came back gets less than its share.'),
})

/** TLS towards endpoints. */
export const upstreamTlsSchema = strict({
  caFile: text(4096)
    .optional()
    .describe('PEM file of a private certificate authority.')
    .meta({ defaultText: "the system's" }),
  serverName: text(253)
    .optional()
    .describe('Name to ask for and check.')
    .meta({ defaultText: 'the host of the endpoint' }),
  certFile: text(4096)
    .optional()
    .describe('PEM file of the certificate that the gateway shows (mutual TLS), with its chain.')
    .meta({ defaultText: 'none' }),
  keyFile: text(4096).optional().describe('PEM file of its private key.').meta({ defaultText: 'none' }),
  insecureSkipVerify: flag().prefault(false).describe('Skips every check of the certificate. For tests only.'),
})

/** One model. */
export const modelSchema = strict({
  endpoints: z
    .array(byForm({ text: baseUrl(), mapping: endpointSchema }, 'a URL or a mapping with one'))
    .min(1)
    .max(4096)
    .optional()
    .describe('Model servers of your own: base URLs, or mappings that say more. A trailing `/v1` is understood.'),
  provider: oneOf(providerNames).optional().describe('A service of somebody else, instead of `endpoints`.'),
  split: z
    .record(z.string(), numberBetween(0, 1_000_000))
    .optional()
    .describe('Other models by weight, instead of `endpoints`: a virtual model, for canaries and comparisons.'),
  engine: oneOf(engineNames)
    .optional()
    .describe(
      'Software behind the endpoints: decides how load and health are read. `openai` is any server of which nothing more is known.',
    )
    .meta({ defaultText: '`openai`' }),
  servedModel: text()
    .optional()
    .describe('Name the engines know the model by.')
    .meta({ defaultText: "the model's name here" }),
  aliases: z.array(text()).max(256).prefault([]).describe('Further names of the same model.'),
  adapters: z.array(text()).max(256).prefault([]).describe('LoRA adapters: names that reach the engines as they are.'),
  dataParallel: wholeNumber(1, 1024)
    .prefault(1)
    .describe('Data-parallel ranks behind each endpoint; each is scheduled by itself.'),
  baseUrl: baseUrl().optional().describe("Base URL of the provider's API.").meta({ defaultText: 'by provider' }),
  apiKey: text(8192).optional().describe("Credential of the engine or provider. Takes the place of the client's own."),
  headers: z.record(z.string(), anyText(8192)).prefault({}).describe('Headers set on every request to the endpoints.'),
  timeouts: timeoutsSchema.prefault({}).describe('How long to wait.'),
  retry: retrySchema.prefault({}).describe('What to do when an endpoint fails before its first byte.'),
  ejection: ejectionSchema.prefault({}).describe('When an endpoint that fails is left alone.'),
  tls: upstreamTlsSchema.optional().describe('TLS towards `https://` endpoints.'),
  scrape: scrape()
    .optional()
    .describe('Metrics page of the endpoints; `false` reads none.')
    .meta({ defaultText: 'by engine' }),
  kvEvents: kvEventsSchema
    .optional()
    .describe(
      'Where the endpoints publish over ZeroMQ what is in their KV cache (vLLM and SGLang: `--kv-events-config`). The house profile then knows exactly which endpoint has how much of a prompt.',
    )
    .meta({ defaultText: 'none' }),
  profile: text(63)
    .optional()
    .describe('Scheduling profile. That of a `split` goes before those of its models.')
    .meta({ defaultText: '`default`' }),
  sessionFrom: sessionSources()
    .optional()
    .describe('Where the session of a request for this model comes from.')
    .meta({ defaultText: 'as everywhere' }),
  injectUsage: flag()
    .optional()
    .describe(
      'Whether streams are asked for their token counts when the client did not; the extra event is hidden from the client.',
    )
    .meta({ defaultText: '`true`, but `false` for `anthropic`' }),
})

/** One model as configured, defaults filled in. */
export type ModelConfig = z.output<typeof modelSchema>

/** Endpoint with more to say than its URL. */
export type EndpointConfig = z.output<typeof endpointSchema>

/** A scrape plan as configured, or false. */
export type ScrapeConfig = z.output<typeof scrapeSchema> | false
