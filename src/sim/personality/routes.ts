import type { Exchange, Protocol, Route } from '#sim/api/exchange.ts'
import { handlePooling, POOLING_APIS } from '#sim/api/pooling.ts'

/** A path that calls the model. */
export function modelRoute(path: string, handle: (exchange: Exchange) => void): Route {
  return { method: 'POST', path, isModelCall: true, handle }
}

/** A path about the server itself: health, lists, administration. */
export function adminRoute(method: 'GET' | 'POST', path: string, handle: (exchange: Exchange) => void): Route {
  return { method, path, isModelCall: false, handle }
}

/** A path of one of the APIs without output tokens. */
export function poolingRoute(path: string, api: keyof typeof POOLING_APIS, protocol: Protocol): Route {
  return modelRoute(path, (exchange) => handlePooling(exchange, protocol, POOLING_APIS[api]))
}
