import type { ModelServerPlan } from '#config/snapshot.ts'
import type { ClientOrigin } from '#contracts/exchange.ts'
import { type HeaderList, headerOf, headerValues } from '#core/header-list.ts'
import type { InferenceRequest } from '#core/request.ts'
import type { ParsedResponseHead } from '#wire/http1/response-head.ts'
import { queryParameters, withQueryParameter } from '#wire/query.ts'
import { acceptOf, tokensOf } from '#wire/websocket-handshake.ts'
import type { Destination } from './destination.ts'
import { isSet, upstreamFields, upstreamTarget } from './upstream-request.ts'

/** How browsers, which cannot set headers here, send an API key: as a subprotocol of this name. */
const keyProtocol = 'openai-insecure-api-key.'

/** Subprotocols that a provider gets to see: those that say how to talk, none that says who. */
const forProviders = /^(?:realtime|openai-beta\..+)$/

/** A handshake as an endpoint gets it. */
export interface UpgradeRequest {
  /** Latin1 text with its empty line. */
  readonly head: string
  /** Subprotocols that were offered: the endpoint may choose one of them. */
  readonly protocols: readonly string[]
}

/** The handshake for an endpoint: key, version and extensions are the client's, so that its frames may pass as they are. */
export function upgradeRequest(request: InferenceRequest, to: Destination, origin: ClientOrigin): UpgradeRequest {
  const { modelServer, upstreamModel } = to
  const { headers } = request
  const target = upstreamTarget(modelTarget(request, upstreamModel), modelServer)
  const protocols = protocolsFor(modelServer, headers)
  let head = `GET ${target} HTTP/1.1\r\n${upstreamFields(request, to, origin)}connection: Upgrade\r\nupgrade: websocket\r\n`
  for (const name of ['sec-websocket-key', 'sec-websocket-version']) {
    const value = headerOf(headers, name)
    if (value !== undefined) head += `${name}: ${value}\r\n`
  }
  for (const value of headerValues(headers, 'sec-websocket-extensions'))
    head += `sec-websocket-extensions: ${value}\r\n`
  if (protocols.length > 0) head += `sec-websocket-protocol: ${protocols.join(', ')}\r\n`
  return { head: `${head}\r\n`, protocols }
}

/** The target with the model as the engine knows it; one that was named by a header gets into the query. */
function modelTarget({ target, model }: InferenceRequest, upstreamModel: string | undefined): string {
  if (upstreamModel !== undefined) return withQueryParameter(target, 'model', upstreamModel)
  const isNamed = (queryParameters(target, 'model') ?? []).some(({ value }) => value.trim() !== '')
  return model === '' || isNamed ? target : withQueryParameter(target, 'model', model)
}

/** A key among the subprotocols goes where an `authorization` header would: nowhere but to engines without one of ours. */
function protocolsFor({ provider, setHeaders }: ModelServerPlan, headers: HeaderList): string[] {
  const offered = tokensOf(headerValues(headers, 'sec-websocket-protocol'))
  if (provider !== undefined) return offered.filter((protocol) => forProviders.test(protocol))
  if (!isSet(setHeaders, 'authorization')) return offered
  return offered.filter((protocol) => !protocol.startsWith(keyProtocol))
}

/** What is wrong with an endpoint's 101 (RFC 6455 4.1); undefined when nothing is. */
export function switchProblem(
  { headers }: ParsedResponseHead,
  asked: HeaderList,
  protocols: readonly string[],
): string | undefined {
  if (headerOf(headers, 'upgrade')?.toLowerCase() !== 'websocket') return 'its upgrade header is not websocket'
  const connection = tokensOf(headerValues(headers, 'connection'))
  if (!connection.some((token) => token.toLowerCase() === 'upgrade')) return 'its connection header is not upgrade'
  const accepts = headerValues(headers, 'sec-websocket-accept')
  if (accepts.length !== 1 || accepts[0] !== acceptOf(headerOf(asked, 'sec-websocket-key') ?? '')) {
    return 'its sec-websocket-accept does not belong to the key'
  }
  const chosen = headerValues(headers, 'sec-websocket-protocol')
  if (chosen.length > 1 || (chosen[0] !== undefined && !protocols.includes(chosen[0]))) {
    return 'it chose a subprotocol that was not offered'
  }
  return undefined
}
