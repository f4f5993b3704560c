import type { DialectName } from '#core/api.ts'
import type { EndpointRole, EngineName } from '#core/endpoint.ts'
import type { StrategyName } from './routing-strategy.ts'

/**
 * The one immutable, compiled configuration. Plain data only (it crosses threads by structured clone); every default is
 * filled in and every cross-reference checked, so nothing downstream asks whether a field is there. Swapping it is one
 * assignment; a request in flight keeps the one it started with.
 */
export interface Snapshot {
  /** Grows by one with every swap; 1 is the first. */
  readonly version: number
  /** Data threads that were asked for; undefined leaves it to the process. Read at start only. */
  readonly threads: number | undefined
  readonly listeners: readonly ListenerPlan[]
  /** What web pages of other origins may do; undefined: nothing. */
  readonly cors: CorsPlan | undefined
  readonly admin: AdminPlan
  readonly limits: Limits
  readonly logging: LoggingPlan
  /** Whether `x-infer-endpoint` is returned to clients. */
  readonly exposeEndpoint: boolean
  readonly explain: ExplainPlan
  /** In order of precedence, oldest first (kthena-router.md 2.3). */
  readonly routes: readonly RoutePlan[]
  readonly modelServers: readonly ModelServerPlan[]
  /** Scheduling profiles by name; `default` is always there. */
  readonly profiles: Readonly<Record<string, ProfilePlan>>
  /** What requests may choose for themselves by header; undefined: nothing, such headers mean nothing. */
  readonly choice: ChoicePlan | undefined
  /** Where the session of a request comes from, in order: the first that gives a text counts. */
  readonly sessions: readonly SessionSource[]
}

/** A place in a request that may name its session. */
export interface SessionSource {
  /**
   * `claim`: of the bearer token, unchecked. `agent`: the headers of agent clients. `body`: `prompt_cache_key`, `user` or
   * `metadata.user_id`.
   */
  readonly from: 'header' | 'cookie' | 'query' | 'claim' | 'agent' | 'body'
  /** Name of the header (lower case), cookie, parameter or claim; '' for the others. */
  readonly name: string
}

/** Which decisions are recorded. */
export interface ExplainPlan {
  /** Whether requests may ask with `x-infer-explain`. */
  readonly isAllowed: boolean
  /** Of so many requests of a thread one is recorded; 0 = none but those that ask. */
  readonly recordEvery: number
}

/** What requests may choose for themselves. */
export interface ChoicePlan {
  /** Profiles that `x-infer-profile` may name; empty: the header means nothing. */
  readonly profiles: readonly string[]
  /** Strategies that `routing-strategy` may name; empty: the header means nothing. */
  readonly strategies: readonly StrategyName[]
  /** The profile whose scorers are those strategies, in the same order. */
  readonly strategyProfile: string
}

/** A socket the gateway accepts requests on. */
export interface ListenerPlan {
  readonly name: string
  readonly address: string
  /** 0 lets the system choose: for tests. */
  readonly port: number
  readonly tls: ListenerTls | undefined
  /** HTTP/2 beside HTTP/1.1: by ALPN with TLS, with prior knowledge without. */
  readonly http2: boolean
  /** Every connection begins with a PROXY protocol header. */
  readonly proxyProtocol: boolean
  /** Networks whose forwarding headers are believed, as `address/bits`. */
  readonly trustedProxies: readonly string[]
  /** Most connections; beyond them new ones are told so and closed. */
  readonly connections: number
  /** Most connections of one client address; 0 = no limit. */
  readonly connectionsPerClient: number
}

/** TLS of a listener, as PEM texts (files are read by the loader, so that a change of them is a new snapshot). */
export interface ListenerTls {
  /** At least one; the first serves clients that ask for no name, or for one that no certificate is made out to. */
  readonly certificates: readonly CertificatePair[]
  /** Authority of clients (mutual TLS); undefined asks for no certificate. */
  readonly clientCa: string | undefined
  /** Whether clients without a certificate are turned away; means something with `clientCa` only. */
  readonly clientAuth: 'required' | 'optional'
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
}

/** A certificate with its chain, and its private key. */
export interface CertificatePair {
  readonly cert: string
  readonly key: string
}

/** What browsers let pages of other origins do. */
export interface CorsPlan {
  /** Exact origins in lower case; one that is `*` means any. */
  readonly origins: readonly string[]
  /** Lower case; undefined allows what the browser asks for. */
  readonly headers: readonly string[] | undefined
  readonly exposedHeaders: readonly string[]
  readonly credentials: boolean
  readonly maxAgeMs: number
}

/** Where metrics, health and status are served. */
export interface AdminPlan {
  readonly address: string
  readonly port: number
}

/** Bounds of the HTTP front (design 5). */
export interface Limits {
  readonly headBytes: number
  readonly headerCount: number
  readonly bodyBytes: number
  readonly headTimeoutMs: number
  /** Longest pause between two reads of a request body. */
  readonly bodyTimeoutMs: number
  /** How long an idle keep-alive connection of a client is kept. */
  readonly keepAliveMs: number
  /** Requests after which a connection ends; 0 = no limit. */
  readonly requestsPerConnection: number
  /** Longest time for a TLS handshake or a PROXY protocol header. */
  readonly handshakeTimeoutMs: number
  /** How long a client may take no byte of an answer. */
  readonly stalledReaderMs: number
  /** Most bytes of one thread that wait for slow clients. */
  readonly unsentBytes: number
  /** Lag of a data thread from which on new requests are shed; 0 = never. */
  readonly eventLoopDelayMs: number
  /** Resident memory of the process from which on new requests are shed; undefined: a share of what there is. */
  readonly memoryBytes: number | undefined
  /** How long new requests are still taken after the stop signal, with readiness off. */
  readonly drainDelayMs: number
  /** How long streams may go on after the drain has begun. */
  readonly drainMs: number
}

/** What is logged. */
export interface LoggingPlan {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  /** One JSON line per request to standard output. */
  readonly accessLog: boolean
}

/** What maps a request to weighted model servers: a ModelRoute, or a model of the short form. */
export interface RoutePlan {
  /** `namespace/name`, or `models/NAME` of the short form. */
  readonly name: string
  /** Value of the body's `model` that this route owns; undefined when it owns adapters only. */
  readonly modelName: string | undefined
  /** Further `model` values, treated as adapter names: they pass to the engine unchanged. */
  readonly adapters: readonly string[]
  /** True when the route is attached to a Gateway: it takes no part while no Gateway is configured. */
  readonly attached: boolean
  /** First matching rule wins. */
  readonly rules: readonly RulePlan[]
}

/** One rule of a route: conditions (all must hold) and where matching requests go. */
export interface RulePlan {
  readonly name: string | undefined
  readonly headers: readonly { readonly name: string; readonly match: StringMatchPlan }[]
  readonly path: StringMatchPlan | undefined
  readonly model: string | undefined
  /** Profile that places its requests; undefined: that of the model server they go to. */
  readonly profile?: string | undefined
  /** Where the session of its requests comes from; undefined: as everywhere (`Snapshot.sessions`). */
  readonly sessions?: readonly SessionSource[] | undefined
  /** Total weight above zero. */
  readonly targets: readonly TargetPlan[]
}

/** A condition on one string. `regex` is RE2 syntax, unanchored; it has been compiled once at load, so it is valid. */
export interface StringMatchPlan {
  readonly kind: 'exact' | 'prefix' | 'regex'
  readonly value: string
}

/** A weighted destination. */
export interface TargetPlan {
  /** Key of a model server in the snapshot. */
  readonly modelServer: string
  /** 0..1,000,000, relative. */
  readonly weight: number
}

/** The group of endpoints that serve one base model. */
export interface ModelServerPlan {
  /** `namespace/name` of a ModelServer, `models/NAME` of the short form, `provider:namespace/name`; unique. */
  readonly key: string
  /** Default of its endpoints; each endpoint says its own. */
  readonly engine: EngineName
  /** The name the engines serve; overwrites the body's `model` unless the request matched as an adapter. */
  readonly servedModel: string | undefined
  readonly endpoints: readonly EndpointPlan[]
  readonly tls: UpstreamTls | undefined
  /** Path prefix put before the request path (providers with a base URL); '' when none. Query strings are kept. */
  readonly basePath: string
  /** Headers set on every upstream request, lower-case names: the engine's own credential and static headers. */
  readonly setHeaders: readonly { readonly name: string; readonly value: string }[]
  readonly timeouts: Timeouts
  readonly retry: RetryPlan
  readonly ejection: EjectionPlan
  /** Name of the scheduling profile. */
  readonly profile: string
  /** Default of its endpoints; each endpoint says its own. */
  readonly scrape: ScrapePlan | undefined
  /** Whether `stream_options.include_usage` is spliced into streams whose client did not ask. */
  readonly injectUsage: boolean
  /** Set when this is somebody else's service, to which client credentials and cookies must not go. */
  readonly provider?: ProviderPlan
}

/** What is special about an external provider (kthena-router.md 2.7). */
export interface ProviderPlan {
  readonly dialect: DialectName
  /** Whether `/v1` at the start of the request path is left out behind `basePath`. */
  readonly dropsVersion: boolean
}

/** One address of one model server rank. */
export interface EndpointPlan {
  /** `host:port`, or `host:port#rank` under data parallelism; unique in its model server. */
  readonly id: string
  /** Row of the endpoint table. Kept over snapshots as long as the endpoint stays. Assigned by `datastore`. */
  readonly slot: number
  /** Generation of that row. */
  readonly generation: number
  /** Name or literal address to connect to (IPv6 without brackets). */
  readonly host: string
  readonly port: number
  /** Software behind this address: the endpoints of one model may run different engines. */
  readonly engine: EngineName
  /** How the load of this address is read; undefined when it has no metrics page. */
  readonly scrape: ScrapePlan | undefined
  /** Where its engine publishes what is in its KV cache; undefined: nowhere that is known. */
  readonly kvEvents?: KvEventPlan | undefined
  /** Data-parallel rank, pinned by the `x-data-parallel-rank` header. */
  readonly rank: number | undefined
  readonly role: EndpointRole
  readonly labels: Readonly<Record<string, string>>
  /** How much it can do compared with the others of its model server, 0.01..100; undefined: 1. */
  readonly capacity?: number | undefined
}

/** TLS towards endpoints. */
export interface UpstreamTls {
  /** PEM of a private CA; undefined means the system's. */
  readonly ca: string | undefined
  /** Name sent as SNI and checked; undefined means the endpoint's host. */
  readonly serverName: string | undefined
  /** What the gateway shows of itself (mutual TLS). */
  readonly certificate: CertificatePair | undefined
  readonly insecureSkipVerify: boolean
}

/** The timeouts, and an optional total (0 = none), in milliseconds. */
export interface Timeouts {
  readonly connectMs: number
  readonly firstByteMs: number
  readonly idleMs: number
  readonly totalMs: number
  /** Longest silence of a WebSocket tunnel, both ways together. */
  readonly tunnelIdleMs: number
}

/** Retries before the first byte. */
export interface RetryPlan {
  /** Further tries after the first: 0..10. */
  readonly attempts: number
  /** Pause before a retry. */
  readonly intervalMs: number
  /** How many of the further tries may follow an endpoint that had the whole request and broke off: 0..10. */
  readonly afterSent: number
}

/** When an endpoint that fails is left alone, and how it comes back (passive health). */
export interface EjectionPlan {
  /** Failures in a row; 0 = never. */
  readonly failures: number
  /** Share of successes below which it is ejected, 0..1; 0 = never. */
  readonly successRatio: number
  /** Requests within the window from which on the ratio counts. */
  readonly minRequests: number
  readonly windowMs: number
  /** First ejection; each that follows takes twice as long, up to `maxMs`. */
  readonly baseMs: number
  readonly maxMs: number
  /** How long an endpoint that returned gets less than its share; 0 = not at all. */
  readonly slowStartMs: number
}

/** How an endpoint's load is read. */
export interface ScrapePlan {
  readonly path: string
  /** Undefined means the endpoint's own port. */
  readonly port: number | undefined
  readonly intervalMs: number
}

/** Where an engine publishes its KV events over ZeroMQ, on the host of the endpoint: ports of rank 0. */
export interface KvEventPlan {
  readonly port: number
  /** Where past events can be asked for; undefined: nowhere. */
  readonly replayPort: number | undefined
  /** Whether the engine is asked for its ports; those here serve where it cannot tell. */
  readonly discover?: true
}

/** A scheduling profile: plug-ins by type with their (validated) parameters. */
export interface ProfilePlan {
  /** What finds out facts for the others; what they read and none of these writes is produced by default. */
  readonly producers?: readonly PluginPlan[]
  readonly filters: readonly PluginPlan[]
  readonly scorers: readonly (PluginPlan & { readonly weight: number })[]
  readonly picker: PluginPlan
  /**
   * Decides, in place of the plug-ins above, which of other profiles place a request. Those above are then the plug-ins of the
   * first of them.
   */
  readonly handler?: HandlerPlan | undefined
}

/** A profile handler and what it chooses among. */
export interface HandlerPlan extends PluginPlan {
  /** By the names that it knows, in its order: profiles of the snapshot, none of which has a handler itself. */
  readonly profiles: readonly { readonly name: string; readonly profile: string }[]
}

/** One plug-in of a profile. */
export interface PluginPlan {
  readonly type: string
  readonly parameters: Readonly<Record<string, unknown>>
}
