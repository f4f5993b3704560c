import type { EndpointPlan, ModelServerPlan } from '#config/snapshot.ts'
import type { ClientOrigin } from '#contracts/exchange.ts'
import { type HeaderList, headerValues } from '#core/header-list.ts'
import type { InferenceRequest } from '#core/request.ts'
import { type ByteList, byteLength, byteRange, type Splice, spliceBytes } from '#struct/byte-list.ts'
import { trimBlanks } from '#wire/http1/trim-blanks.ts'
import { viaCount, viaElement } from '#wire/via.ts'
import type { Destination } from './destination.ts'

/** A body as the engine gets it. */
export interface UpstreamBody {
  readonly slices: ByteList
  readonly bytes: number
  /** Whether the gateway asked for the usage chunk on its own account. */
  readonly usageInjected: boolean
}

/** Headers that concern one connection only (RFC 9110 7.6.1), or that the proxy writes itself. */
const dropped: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'host',
  'content-length',
  'expect',
  // The upgrade of a tunnel is written by itself (upgrade-request.ts).
  'sec-websocket-key',
  'sec-websocket-version',
  'sec-websocket-protocol',
  'sec-websocket-extensions',
  'sec-websocket-accept',
  // Answers are read on their way (usage, model names), so engines must not compress them.
  'accept-encoding',
  'x-request-id',
  // Who asked is for the gateway to say: these are written anew, from what it believes of them.
  'forwarded',
  'x-real-ip',
  // The rank is pinned by the gateway's choice; a client that sets it would choose the endpoint itself.
  'x-data-parallel-rank',
])

/** Headers of the gateway's own that clients may send to it: they end here. */
const controlPrefix = 'x-infer-'

const forwardedPrefix = 'x-forwarded-'

/** What a provider, which is somebody else's service, gets of the client's headers (kthena-router.md 2.7). */
const forProviders: ReadonlySet<string> = new Set([
  'content-type',
  'accept',
  'traceparent',
  'tracestate',
  'baggage',
  'anthropic-version',
  'anthropic-beta',
  'openai-beta',
])

/** Where a request goes, as far as its head is concerned. */
export type HeadTarget = Pick<Destination, 'modelServer' | 'endpoint'>

/** Request head for an endpoint, as latin1 text with its empty line. */
export function upstreamHead(
  request: InferenceRequest,
  to: HeadTarget,
  origin: ClientOrigin,
  bodyBytes: number,
): string {
  const line = `POST ${upstreamTarget(request.target, to.modelServer)} HTTP/1.1\r\n`
  return `${line}${upstreamFields(request, to, origin)}content-length: ${bodyBytes}\r\n\r\n`
}

/** The fields of a head but for those that say how its body ends. Once per try: concatenation only. */
export function upstreamFields(
  request: InferenceRequest,
  { modelServer, endpoint }: HeadTarget,
  origin: ClientOrigin,
): string {
  const { headers } = request
  const { setHeaders, provider } = modelServer
  let text = `host: ${hostOf(modelServer, endpoint)}\r\n`
  const named = connectionNames(headers)
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string
    if (dropped.has(name) || name.startsWith(controlPrefix) || name.startsWith(forwardedPrefix)) continue
    if (named !== undefined && named.has(name)) continue
    if (provider !== undefined && !forProviders.has(name)) continue
    if (isSet(setHeaders, name)) continue
    text += `${name}: ${headers[i + 1]}\r\n`
  }
  for (const { name, value } of setHeaders) text += `${name}: ${value}\r\n`
  if (endpoint.rank !== undefined) text += `x-data-parallel-rank: ${endpoint.rank}\r\n`
  text += provider === undefined ? forwardingFields(origin) : ownViaFields(headers)
  return `${text}x-request-id: ${request.id}\r\n`
}

/** What an engine is told of who asked. The line of `via` stands behind those that came, as the list it is. */
function forwardingFields({ forwardedFor, scheme, host }: ClientOrigin): string {
  const fields = `x-forwarded-for: ${forwardedFor}\r\nx-forwarded-proto: ${scheme}\r\n`
  return `${fields}${host === '' ? '' : `x-forwarded-host: ${host}\r\n`}via: ${viaElement}\r\n`
}

/** A provider learns nothing of who is in front of us; but a loop that leads through one must end too. */
function ownViaFields(headers: HeaderList): string {
  let count = 1
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === 'via') count += viaCount(headers[i + 1] as string)
  return `via: ${viaElement}${`, ${viaElement}`.repeat(count - 1)}\r\n`
}

/** Whether the model server sets a header itself, in place of the client's. */
export function isSet(setHeaders: ModelServerPlan['setHeaders'], name: string): boolean {
  for (const set of setHeaders) if (set.name === name) return true
  return false
}

/** The client's target behind the model server's base path. */
export function upstreamTarget(target: string, { basePath, provider }: ModelServerPlan): string {
  const dropsVersion = provider?.dropsVersion === true && target.startsWith('/v1/')
  return basePath + (dropsVersion ? target.slice(3) : target)
}

/** The authority of an endpoint; the default port of the scheme is left out, as virtual hosts expect. */
function hostOf({ tls }: ModelServerPlan, { host, port }: EndpointPlan): string {
  const name = host.includes(':') ? `[${host}]` : host
  return port === (tls === undefined ? 80 : 443) ? name : `${name}:${port}`
}

/** Names listed in `connection`, or undefined when there are none beside the usual ones. */
export function connectionNames(headers: HeaderList): Set<string> | undefined {
  let names: Set<string> | undefined
  for (const value of headerValues(headers, 'connection')) {
    for (const token of value.split(',')) {
      const name = trimBlanks(token).toLowerCase()
      if (name !== '' && name !== 'keep-alive' && name !== 'close') (names ??= new Set()).add(name)
    }
  }
  return names
}

/** Whether streams of this operation end with a usage chunk when asked to. */
function hasUsageChunk(request: InferenceRequest): boolean {
  return request.stream && (request.api.name === 'chat' || request.api.name === 'completions')
}

/** The client's body with the model renamed and usage asked for, where that is wanted; else the body itself. */
export function upstreamBody(request: InferenceRequest, model: string | undefined, injectUsage: boolean): UpstreamBody {
  const splices: Splice[] = []
  if (model !== undefined) {
    const name = Buffer.from(request.api.form === 'json' ? JSON.stringify(model) : model)
    for (const span of request.modelSpans) splices.push({ ...span, insert: name })
  }
  const usageInjected = injectUsage && hasUsageChunk(request) && !request.streamOptions.includeUsage
  if (usageInjected) splices.push(usageSplice(request))
  if (splices.length === 0) return { slices: request.body.slices, bytes: request.body.bytes, usageInjected }
  splices.sort((a, b) => a.start - b.start)
  const slices = spliceBytes(request.body.slices, splices)
  return { slices, bytes: byteLength(slices), usageInjected }
}

const wholeOption = Buffer.from('{"include_usage":true}')
const memberFirst = Buffer.from('"include_usage":true')
const memberBefore = Buffer.from('"include_usage":true,')
const optionAfter = Buffer.from(',"stream_options":{"include_usage":true}')
const literalTrue = Buffer.from('true')

/** Where and what to insert so that the body asks for usage and every other byte stays. */
function usageSplice(request: InferenceRequest): Splice {
  const { span, includeUsageSpan } = request.streamOptions
  if (includeUsageSpan !== undefined) return { ...includeUsageSpan, insert: literalTrue }
  if (span === undefined) {
    const brace = closingBrace(request.body.slices, request.body.bytes)
    return { start: brace, end: brace, insert: optionAfter }
  }
  const option = byteRange(request.body.slices, span.start, span.end)
  if (option[0] !== 0x7b) return { ...span, insert: wholeOption }
  const at = span.start + 1
  return { start: at, end: at, insert: isEmptyObject(option) ? memberFirst : memberBefore }
}

/** Position of the object's closing brace: the last byte that is not white space. */
function closingBrace(body: ByteList, bytes: number): number {
  let pos = bytes
  for (let i = body.length - 1; i >= 0; i--) {
    const slice = body[i] as Buffer
    for (let at = slice.length - 1; at >= 0; at--) {
      pos--
      if (slice[at] === 0x7d) return pos
    }
  }
  return 0
}

function isEmptyObject(text: Buffer): boolean {
  let pos = 1
  while (text[pos] === 0x20 || text[pos] === 0x09 || text[pos] === 0x0a || text[pos] === 0x0d) pos++
  return text[pos] === 0x7d
}
