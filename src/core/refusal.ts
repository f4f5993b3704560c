/** One row of the refusal table. */
export interface RefusalRow {
  /** HTTP status. */
  readonly http: number
  /** gRPC status code, for the ext-proc doors. */
  readonly grpc: number
  /** `type` in an OpenAI error object. */
  readonly type: string
  /** `code` in an OpenAI error object. */
  readonly code: string
  /** `type` in an Anthropic error object. */
  readonly anthropicType: string
  /** Whether the same request may succeed later or elsewhere without being changed. */
  readonly retry: boolean
  /** What has happened, for the reference page. */
  readonly means: string
  /** What the caller or operator does about it, for the reference page. */
  readonly advice: string
}

const invalid = {
  grpc: 3,
  type: 'invalid_request_error',
  anthropicType: 'invalid_request_error',
  retry: false,
} as const
const missing = {
  http: 404,
  grpc: 5,
  type: 'invalid_request_error',
  anthropicType: 'not_found_error',
  retry: false,
} as const
const unavailable = {
  http: 503,
  grpc: 14,
  type: 'server_error',
  anthropicType: 'overloaded_error',
  retry: true,
} as const
const upstream = { grpc: 14, type: 'upstream_error', anthropicType: 'api_error', retry: true } as const

/**
 * Every expected "no". The key is the machine-readable reason: the `x-infer-reason` header, the metric label, the
 * field in the access log and the row in docs/reference/errors.md are all this key.
 */
export const refusals = {
  'malformed-request': {
    ...invalid,
    http: 400,
    code: 'malformed_request',
    means: 'the bytes are not a valid HTTP/1.1 request',
    advice: 'fix the client or the proxy in front; the connection is closed',
  },
  'unsupported-http-version': {
    ...invalid,
    http: 505,
    code: 'unsupported_http_version',
    means: 'neither HTTP/1.0 nor HTTP/1.1',
    advice: 'speak HTTP/1.1',
  },
  'unsupported-transfer-coding': {
    ...invalid,
    http: 501,
    code: 'unsupported_transfer_coding',
    means: 'a transfer coding other than chunked',
    advice: 'send the body with a length or chunked',
  },
  'unsupported-content-encoding': {
    ...invalid,
    http: 415,
    code: 'unsupported_content_encoding',
    means: 'the body is compressed, so that its model name cannot be read',
    advice: 'send the body uncompressed',
  },
  'head-too-large': {
    ...invalid,
    http: 431,
    code: 'head_too_large',
    means: 'request line and headers exceed 64 KiB or 128 fields',
    advice: 'send fewer or shorter headers',
  },
  'head-timeout': {
    ...invalid,
    http: 408,
    code: 'head_timeout',
    retry: true,
    means: 'the request head did not arrive in time',
    advice: 'send the head within 10 s',
  },
  'body-timeout': {
    ...invalid,
    http: 408,
    code: 'body_timeout',
    retry: true,
    means: 'the request body stalled',
    advice: 'send the body without pauses of 30 s',
  },
  'body-too-large': {
    ...invalid,
    http: 413,
    code: 'body_too_large',
    means: 'the request body exceeds the limit',
    advice: 'shorten the request or raise limits.bodyBytes',
  },
  'malformed-json': {
    ...invalid,
    http: 400,
    code: 'malformed_json',
    means: 'the body is not one JSON object',
    advice: 'fix the body at the position named',
  },
  'malformed-multipart': {
    ...invalid,
    http: 400,
    code: 'malformed_multipart',
    means: 'the body is not a valid multipart form',
    advice: 'let the client library write the form',
  },
  'missing-model': {
    ...invalid,
    http: 400,
    code: 'missing_model',
    means: 'the body has no usable model name',
    advice: 'name a model from GET /v1/models',
  },
  'unknown-path': {
    ...missing,
    code: 'unknown_url',
    means: 'no API of the gateway has this path',
    advice: 'check the base URL of the client',
  },
  'method-not-allowed': {
    ...invalid,
    http: 405,
    code: 'method_not_allowed',
    means: 'the path exists but not with this method',
    advice: 'use the method named in the allow header',
  },
  'unknown-model': {
    ...missing,
    code: 'model_not_found',
    means: 'no route serves this model',
    advice: 'name a model from GET /v1/models',
  },
  'unknown-profile': {
    ...invalid,
    http: 400,
    code: 'unknown_profile',
    means: 'a header asks for a scheduling profile or routing strategy that there is not, or that it may not ask for',
    advice: 'name one of those in the message, or leave the header out',
  },
  'no-matching-rule': {
    ...missing,
    code: 'no_matching_rule',
    means: 'routes of this model exist, but no rule matches the request',
    advice: 'check the headers and path that the rules ask for',
  },
  'no-endpoint': {
    ...unavailable,
    code: 'no_endpoint',
    means: 'no usable endpoint serves this model now',
    advice: 'retry later; look at the endpoints on the admin page',
  },
  'upstream-unreachable': {
    ...upstream,
    http: 502,
    code: 'upstream_unreachable',
    means: 'the model server did not accept a connection',
    advice: 'retry; look at the model server',
  },
  'upstream-reset': {
    ...upstream,
    http: 502,
    code: 'upstream_reset',
    means: 'the model server closed the connection before its answer was complete',
    advice: 'retry; look at the model server',
  },
  'upstream-malformed': {
    ...upstream,
    http: 502,
    code: 'upstream_malformed',
    means: 'the model server sent something that is not HTTP',
    advice: 'check address and protocol of the endpoint',
  },
  'upstream-connect-timeout': {
    ...upstream,
    http: 504,
    grpc: 4,
    code: 'upstream_connect_timeout',
    means: 'the connection to the model server was not made in time',
    advice: 'retry; check the network to the endpoint',
  },
  'upstream-first-byte-timeout': {
    ...upstream,
    http: 504,
    grpc: 4,
    code: 'upstream_first_byte_timeout',
    means: 'the model server did not begin its answer in time',
    advice: 'retry later or raise timeouts.firstByte of the model',
  },
  'upstream-idle-timeout': {
    ...upstream,
    http: 504,
    grpc: 4,
    code: 'upstream_idle_timeout',
    means: 'the model server stalled in the middle of its answer',
    advice: 'retry; raise timeouts.idle of the model if such pauses are normal',
  },
  'deadline-exceeded': {
    ...upstream,
    http: 504,
    grpc: 4,
    code: 'deadline_exceeded',
    means: 'the total time allowed for this model has passed',
    advice: 'ask for fewer tokens or raise timeouts.total of the model',
  },
  draining: {
    ...unavailable,
    code: 'draining',
    means: 'this gateway is shutting down',
    advice: 'retry; another instance will answer',
  },
  'too-many-connections': {
    ...unavailable,
    code: 'too_many_connections',
    means: 'the listener holds as many connections as it may',
    advice: 'reuse connections or retry later',
  },
  overloaded: {
    ...unavailable,
    code: 'overloaded',
    means: 'the gateway itself is at its limit: a data thread lags, or memory is short',
    advice: 'try again after the time in retry-after; give the gateway more cores, memory or replicas',
  },
  'expectation-failed': {
    ...invalid,
    http: 417,
    code: 'expectation_failed',
    means: 'an expect header other than 100-continue',
    advice: 'leave the header out',
  },
  'websocket-required': {
    ...invalid,
    http: 426,
    code: 'websocket_required',
    means: 'a path that speaks WebSocket only was asked for without an upgrade',
    advice: 'connect with a WebSocket client over HTTP/1.1',
  },
  'loop-detected': {
    http: 508,
    grpc: 9,
    type: 'server_error',
    code: 'loop_detected',
    anthropicType: 'api_error',
    retry: false,
    means: 'the request has come through this gateway several times: an endpoint leads back to it',
    advice: 'look for an endpoint or base URL that is the address of a gateway',
  },
  'upstream-not-websocket': {
    ...upstream,
    http: 502,
    code: 'upstream_not_websocket',
    means: 'the model server did not switch to WebSocket as it should',
    advice: 'check that the engine serves the path; its answer is in the log',
  },
  'upstream-error-event': {
    ...upstream,
    http: 502,
    code: 'upstream_error_event',
    means: 'the model server began a stream and its first event was an error',
    advice: 'try again; the gateway has tried elsewhere already where it may',
  },
  'client-too-slow': {
    ...invalid,
    http: 408,
    code: 'client_too_slow',
    means: 'the client took no byte of its answer for too long, or held too much memory',
    advice: 'read the answer as it comes; the limits are limits.stalledReader and limits.unsentBytes',
  },
  'internal-error': {
    http: 500,
    grpc: 13,
    type: 'server_error',
    code: 'internal_error',
    anthropicType: 'api_error',
    retry: true,
    means: 'a mistake in the gateway itself',
    advice: 'report it with the request id; the log has the cause',
  },
} as const satisfies Record<string, RefusalRow>

/** The reason of a refusal: a key of the table. */
export type RefusalReason = keyof typeof refusals

/** An expected "no" on its way to the caller. */
export interface Refusal {
  readonly kind: 'refusal'
  readonly reason: RefusalReason
  /** For the person who reads it: what is wrong and what to do. Never contains secrets, addresses or stack traces. */
  readonly message: string
  /** The request field at fault, as OpenAI's `param`. */
  readonly param: string | undefined
  /** Advice in whole seconds for a `retry-after` header. */
  readonly retryAfterS: number | undefined
}

/** What a refusal may carry beside its reason and message. */
export interface RefusalDetails {
  readonly param?: string
  readonly retryAfterS?: number
}

/** Makes a refusal. */
export function refuse(reason: RefusalReason, message: string, details?: RefusalDetails): Refusal {
  return { kind: 'refusal', reason, message, param: details?.param, retryAfterS: details?.retryAfterS }
}

/** Tells a refusal from a result. */
export function isRefusal(value: unknown): value is Refusal {
  return typeof value === 'object' && value !== null && (value as { kind?: unknown }).kind === 'refusal'
}
