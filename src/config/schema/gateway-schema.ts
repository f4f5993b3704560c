import { z } from 'zod'
import { strategyNames } from '#config/routing-strategy.ts'
import { byForm, byteSize, cidr, duration, flag, oneOf, port, strict, text, wholeNumber } from './scalars.ts'

const pemPath = () => text(4096)
const certMeaning = 'PEM file with the certificate and its chain.'
const keyMeaning = 'PEM file with the private key.'

/** TLS of a listener. */
export const listenerTlsSchema = strict({
  certFile: pemPath().optional().describe(certMeaning).meta({ defaultText: 'required without `certificates`' }),
  keyFile: pemPath().optional().describe(keyMeaning).meta({ defaultText: 'required without `certificates`' }),
  certificates: z
    .array(strict({ certFile: pemPath().describe(certMeaning), keyFile: pemPath().describe(keyMeaning) }))
    .max(256)
    .prefault([])
    .describe('Further certificates: the name that a client asks for (SNI) chooses the one that is made out to it.'),
  clientCaFile: text(4096).optional().describe('PEM file of the authority whose clients are let in (mutual TLS).'),
  clientAuth: oneOf(['required', 'optional'])
    .optional()
    .describe('Whether a client must show a certificate, with `clientCaFile`. One that is shown must be valid.')
    .meta({ defaultText: '`required`' }),
  minVersion: oneOf(['1.2', '1.3']).prefault('1.2').describe('Oldest version of TLS.'),
})

/** One socket that takes requests. */
export const listenerSchema = strict({
  name: text(63).optional().describe('Name in logs and metrics.').meta({ defaultText: '`http-PORT` or `https-PORT`' }),
  address: text().prefault('0.0.0.0').describe('Address to listen on.'),
  port: port(0).prefault(8080).describe('Port to listen on; 0 lets the system choose.'),
  tls: listenerTlsSchema
    .optional()
    .describe('Makes the listener speak TLS. Paths are relative to the configuration file; the files are watched.'),
  http2: flag()
    .optional()
    .describe('HTTP/2 beside HTTP/1.1: negotiated by ALPN under TLS, with prior knowledge (h2c) without.')
    .meta({ defaultText: '`true` with `tls`, else `false`' }),
  proxyProtocol: flag()
    .prefault(false)
    .describe('Every connection begins with a PROXY protocol header, version 1 or 2; others are dropped.'),
  trustedProxies: z
    .array(cidr())
    .max(256)
    .prefault([])
    .describe(
      'Networks of proxies in front: their `Forwarded` and `X-Forwarded-*` are believed. Others write their own.',
    ),
  connections: wholeNumber(1, 1_000_000)
    .optional()
    .describe('Most connections of this listener.')
    .meta({ defaultText: '`limits.connections`' }),
  connectionsPerClient: wholeNumber(0, 1_000_000)
    .optional()
    .describe('Most connections of one client address on this listener, for each data thread.')
    .meta({ defaultText: '`limits.connectionsPerClient`' }),
})

/** What browsers of other origins may do. */
export const corsSchema = strict({
  origins: z
    .array(text(255))
    .min(1)
    .max(256)
    .describe("Origins that may call, such as `https://chat.example.com`; `'*'` is any."),
  headers: z
    .array(text(128))
    .max(128)
    .optional()
    .describe('Request headers they may send.')
    .meta({ defaultText: 'those that the browser asks for' }),
  exposedHeaders: z
    .array(text(128))
    .max(128)
    .prefault(['x-request-id', 'x-infer-reason', 'retry-after'])
    .describe('Response headers that scripts may read.'),
  credentials: flag().prefault(false).describe("Whether cookies may be sent; not together with origin `'*'`."),
  maxAge: duration(0).prefault('10m').describe('How long a browser may remember the answer to its question.'),
})

/** The admin server. */
export const adminSchema = strict({
  address: text().prefault('127.0.0.1').describe('Address to listen on.'),
  port: port(0).prefault(9090).describe('Port to listen on.'),
})

const mebibyte = 1024 * 1024

/** Bounds of the HTTP front. */
export const limitsSchema = strict({
  headBytes: byteSize(1024, mebibyte).prefault('64KiB').describe('Longest request line and headers together (431).'),
  headerCount: wholeNumber(8, 4096).prefault(128).describe('Most header fields of a request (431).'),
  bodyBytes: byteSize(1024, 4096 * mebibyte)
    .prefault('32MiB')
    .describe('Longest request body (413).'),
  headTimeout: duration(100).prefault('10s').describe('Longest time for a request head to arrive (408).'),
  bodyTimeout: duration(100).prefault('30s').describe('Longest pause in the middle of a request body (408).'),
  keepAlive: duration(0).prefault('75s').describe('How long an idle connection of a client is kept.'),
  connections: wholeNumber(1, 1_000_000).prefault(20_000).describe('Most connections of one listener (503).'),
  connectionsPerClient: wholeNumber(0, 1_000_000)
    .prefault(0)
    .describe('Most connections of one client address on a listener (503), for each data thread; `0` means no limit.'),
  requestsPerConnection: wholeNumber(0, 1_000_000_000)
    .prefault(0)
    .describe('Requests after which a connection is closed, so that clients spread anew; `0` means no limit.'),
  handshakeTimeout: duration(100).prefault('10s').describe('Longest time for a TLS handshake or a PROXY header.'),
  stalledReader: duration(100)
    .prefault('60s')
    .describe('How long a client may take no byte of its answer before it is cut.'),
  unsentBytes: byteSize(mebibyte, 1024 * 1024 * mebibyte)
    .prefault('256MiB')
    .describe('Most memory of one thread for answers that slow clients have not taken; beyond it the slowest is cut.'),
  eventLoopDelay: duration(0)
    .prefault('1s')
    .describe('New requests are shed (503) while a data thread lags this much behind; `0` never.'),
  memory: byteSize(64 * mebibyte, 1024 * 1024 * mebibyte)
    .optional()
    .describe('New requests are shed (503) while the process holds this much memory.')
    .meta({ defaultText: '90 % of what the container or the machine has' }),
  drainDelay: duration(0)
    .prefault('0s')
    .describe(
      'How long new requests are still taken after the stop signal, while `/readyz` says no already: the time that load balancers need to notice, such as `5s` in Kubernetes.',
    ),
  drain: duration(0).prefault('30s').describe('How long streams may go on after that.'),
})

/** What is logged. */
export const logSchema = strict({
  level: oneOf(['debug', 'info', 'warn', 'error']).prefault('info').describe('Least severe process messages to log.'),
  access: flag().prefault(true).describe('One JSON line per request on standard output.'),
})

/** One place that may name a session: `body`, `agent`, or a mapping. */
const sessionSource = byForm(
  {
    text: oneOf(['body', 'agent']),
    mapping: strict({
      header: text(128).optional().describe('Name of a request header.'),
      cookie: text(128).optional().describe('Name of a cookie.'),
      query: text(128).optional().describe('Name of a query parameter.'),
      claim: text(128).optional().describe('Name of a claim of the bearer token, which is not checked.'),
    }),
  },
  '`body`, `agent` or a mapping with one of header, cookie, query and claim',
)

/** Where sessions come from. */
export function sessionSources() {
  return z.array(sessionSource).min(1).max(16)
}

/** Where sessions come from, as configured. */
export type SessionSourcesConfig = z.output<ReturnType<typeof sessionSources>>

/** What requests may choose for themselves. */
export const schedulerSchema = strict({
  allowedProfiles: z
    .array(text(63))
    .max(64)
    .prefault([])
    .describe(
      'Profiles that a request may choose with the header `x-infer-profile` (or `config-profile`, as of AIBrix); another name is refused (400). Without any the header means nothing.',
    ),
  allowedStrategies: byForm(
    { boolean: flag(), list: z.array(oneOf(strategyNames)).max(strategyNames.length) },
    '`true` or a list of strategies',
  )
    .prefault(false)
    .describe(
      'Strategies that a request may choose with the header `routing-strategy`, alone or weighted; `true` is all of them. Without any the header means nothing.',
    ),
  allowExplain: flag()
    .prefault(false)
    .describe(
      'Whether a request may ask with `x-infer-explain: 1` why it went where it did: the answer says so in a header of that name. Endpoints are named in it where `exposeEndpoint` is set, else numbered.',
    ),
  recordEvery: wholeNumber(0, 1_000_000)
    .prefault(64)
    .describe(
      'Of so many requests of a thread one is recorded with all that decided where it went, for `infer-gateway explain`; `0` records only those that ask for it.',
    ),
})

/** Everything beside models and profiles. */
export const gatewayShape = {
  listeners: z
    .array(listenerSchema)
    .min(1)
    .max(64)
    .optional()
    .describe('Sockets that take requests.')
    .meta({ defaultText: 'one, on `0.0.0.0:8080`' }),
  threads: wholeNumber(1, 256)
    .optional()
    .describe('Data threads. Takes effect at the next start.')
    .meta({ defaultText: 'one less than the processor has cores, at least 1' }),
  cors: corsSchema
    .optional()
    .describe('Lets web pages of other origins call the gateway.')
    .meta({ defaultText: 'none: browsers refuse such calls' }),
  admin: adminSchema
    .optional()
    .describe('Where metrics, health and the status page are served.')
    .meta({ defaultText: 'see below' }),
  limits: limitsSchema.optional().describe('Bounds of what a client may send.').meta({ defaultText: 'see below' }),
  log: logSchema.optional().describe('What is logged.').meta({ defaultText: 'see below' }),
  scheduler: schedulerSchema
    .optional()
    .describe('What requests may choose by header, and which decisions are recorded.')
    .meta({ defaultText: 'see below' }),
  sessionFrom: sessionSources()
    .optional()
    .describe(
      'Where the session of a request comes from, the first that is given: `body` (`prompt_cache_key`, `user`, `metadata.user_id`), `agent` (headers of agent clients), or a mapping with one of `header`, `cookie`, `query` and `claim` (of the bearer token, which is not checked).',
    )
    .meta({ defaultText: '`[body]`' }),
  exposeEndpoint: flag()
    .optional()
    .describe('Whether responses name the chosen endpoint in `x-infer-endpoint`.')
    .meta({ defaultText: '`false`' }),
}

/** A listener as configured, defaults filled in. */
export type ListenerConfig = z.output<typeof listenerSchema>

/** Limits as configured, defaults filled in. */
export type LimitsConfig = z.output<typeof limitsSchema>
