import { type HeaderList, headerOf } from '#core/header-list.ts'
import { connectionNames } from './upstream-request.ts'

/** What the gateway itself writes into the head of an answer. */
export interface OwnReplyHeaders {
  readonly requestId: string
  /** Shown to the client when set. */
  readonly endpoint: string | undefined
  /** Why that endpoint; shown to the client when set. */
  readonly explained?: string | undefined
  /** Headers of plug-ins; they take the place of the engine's of the same name, but for cookies. */
  readonly added: HeaderList | undefined
  /** The gateway speaks for its origins itself (CORS): what the engine says to browsers does not count. */
  readonly hidesCors: boolean
}

/** Response headers that end here: of the connection, or written by the gateway itself. */
const dropped: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'content-length',
  'x-request-id',
  'x-infer-endpoint',
  'x-infer-explain',
  'x-infer-reason',
])

/** Headers of an engine's answer as the client gets them. */
export function replyHeaders(headers: HeaderList, own: OwnReplyHeaders): string[] {
  const named = connectionNames(headers)
  const result: string[] = []
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string
    if (dropped.has(name) || named?.has(name) === true) continue
    if (own.hidesCors && name.startsWith('access-control-')) continue
    if (own.added !== undefined && name !== 'set-cookie' && headerOf(own.added, name) !== undefined) continue
    result.push(name, headers[i + 1] as string)
  }
  result.push('x-request-id', own.requestId)
  if (own.endpoint !== undefined) result.push('x-infer-endpoint', own.endpoint)
  if (own.explained !== undefined) result.push('x-infer-explain', own.explained)
  if (own.added !== undefined) result.push(...own.added)
  return result
}
