import type { Exchange, RequestHead } from '#contracts/exchange.ts'
import type { Api } from '#core/api.ts'
import { headerOf } from '#core/header-list.ts'
import { type Refusal, refuse } from '#core/refusal.ts'
import type { Body, InferenceRequest } from '#core/request.ts'
import { apiOfPath } from '#dialect/apis.ts'
import type { BodyFacts } from './body-facts.ts'
import { readForm } from './read-form.ts'
import { JsonReader } from './read-json.ts'
import { readQuery } from './read-query.ts'

/**
 * Operations whose engines take a request without `model`: they serve one model anyway. vLLM's realtime clients name it
 * in a message behind the handshake.
 */
const modelOptional: ReadonlySet<string> = new Set([
  'generate',
  'tokenize',
  'detokenize',
  'rerank',
  'score',
  'classify',
  'pooling',
  'transcriptions',
  'translations',
  'image-edits',
  'realtime',
])

const maxModelLength = 256

/** Streams whatever its body says (TGI, Triton). */
const streamPath = '/generate_stream'

/** Path of a target, without its query. */
export function pathOf(target: string): string {
  const query = target.indexOf('?')
  return query < 0 ? target : target.slice(0, query)
}

/** The one method of an operation. */
export function methodOf(api: Api): 'GET' | 'POST' {
  return api.form === 'websocket' ? 'GET' : 'POST'
}

/** The operation a head asks for, or why there is none. Needs no body, so that an early no saves reading it. */
export function parseHead(head: RequestHead): Api | Refusal {
  const api = apiOfPath(pathOf(head.target))
  if (api === undefined) {
    return refuse(
      'unknown-path',
      `There is no ${head.method} ${pathOf(head.target).slice(0, 200)} here. Chat lives at POST /v1/chat/completions.`,
    )
  }
  const method = methodOf(api)
  if (head.method !== method) return refuse('method-not-allowed', `${pathOf(head.target)} takes ${method} only.`)
  const encoding = headerOf(head.headers, 'content-encoding')
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    return refuse('unsupported-content-encoding', `The body is ${encoding.slice(0, 40)}-encoded; send it plain.`)
  }
  return api
}

/** Parses complete requests. One per thread: it reuses its scanner. */
export class RequestParser {
  readonly #json = new JsonReader()

  /** Reads what the gateway acts on from a complete body. Everything else in it stays as it is, unread. */
  parse(exchange: Exchange, api: Api, id: string): InferenceRequest | Refusal {
    const { head, body } = exchange
    const facts = this.#read(api, head, body)
    if ('kind' in facts) return facts
    const model = facts.model === '' ? (headerOf(head.headers, 'x-infer-model') ?? '') : facts.model
    if (model === '' && !modelOptional.has(api.name)) {
      return refuse('missing-model', 'The body must name a model, as a non-empty string. GET /v1/models lists them.', {
        param: 'model',
      })
    }
    if (model.length > maxModelLength) {
      return refuse('missing-model', `A model name may have at most ${maxModelLength} characters.`, { param: 'model' })
    }
    const { target, headers } = head
    const path = pathOf(target)
    // One literal with every field in order: all requests share one hidden class.
    return {
      id,
      api,
      path,
      target,
      headers,
      body,
      model,
      modelSpans: facts.modelSpans,
      stream: facts.stream || path === streamPath,
      streamOptions: facts.streamOptions,
      promptSpans: facts.promptSpans,
      promptBytes: facts.promptBytes,
      maxTokens: facts.maxTokens,
      session: facts.session,
      cacheSalt: facts.cacheSalt,
    }
  }

  #read(api: Api, head: RequestHead, body: Body): BodyFacts | Refusal {
    if (api.form === 'json') return this.#json.read(body)
    if (api.form === 'websocket') return readQuery(head.target)
    return readForm(body, headerOf(head.headers, 'content-type'))
  }
}
