import type { CorsPlan } from '#config/snapshot.ts'
import type { RequestHead } from '#contracts/exchange.ts'
import { type HeaderList, headerOf } from '#core/header-list.ts'

/** What browsers are told about pages of other origins; every list of headers is made once. */
export interface Cors {
  /** Headers for the answer to a request of `origin`; undefined: no page asked. */
  answer(origin: string | undefined): HeaderList
  /** Headers for the answer to a preflight, whose whole answer they are (status 204). */
  preflight(head: RequestHead): HeaderList
}

const allowedMethods = 'GET, HEAD, POST'
const maxAskedLength = 4096
const tokens = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[\t ]*,[\t ]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*$/

/** A question of a browser before a request that is not simple (Fetch standard 3.3.2). */
export function isPreflight({ method, headers }: RequestHead): boolean {
  if (method !== 'OPTIONS') return false
  return headerOf(headers, 'origin') !== undefined && headerOf(headers, 'access-control-request-method') !== undefined
}

/**
 * Compiles a plan (Fetch standard 3.3). An origin that is not allowed is served as if there were no plan: it is the
 * browser that keeps the answer from the page, and anything else could ask without saying an origin. Its preflight is
 * answered too, without a permission: that is how browsers learn the no.
 */
export function compileCors(plan: CorsPlan): Cors {
  const isAny = plan.origins.includes('*') && !plan.credentials
  const refused: HeaderList = isAny ? [] : ['vary', 'origin']
  const byOrigin = new Map<string, HeaderList>()
  for (const origin of isAny ? ['*'] : plan.origins) {
    const list = [...refused, 'access-control-allow-origin', origin]
    if (plan.credentials) list.push('access-control-allow-credentials', 'true')
    byOrigin.set(origin, list)
  }
  const permissionOf = (origin: string): HeaderList | undefined => byOrigin.get(isAny ? '*' : origin.toLowerCase())
  const exposed: HeaderList =
    plan.exposedHeaders.length === 0 ? [] : ['access-control-expose-headers', plan.exposedHeaders.join(', ')]
  const answers = new Map([...byOrigin].map(([origin, list]) => [origin, [...list, ...exposed]]))
  return {
    answer: (origin) => {
      if (isAny) return origin === undefined ? [] : (answers.get('*') ?? [])
      return origin === undefined ? refused : (answers.get(origin.toLowerCase()) ?? refused)
    },
    preflight: ({ headers }) => {
      const permission = permissionOf(headerOf(headers, 'origin') ?? '')
      if (permission === undefined) return refused
      const asked = headerOf(headers, 'access-control-request-headers')
      return [
        ...permission,
        'access-control-allow-methods',
        allowedMethods,
        ...allowedHeaders(plan.headers, asked),
        'access-control-max-age',
        String(Math.floor(plan.maxAgeMs / 1000)),
      ]
    },
  }
}

/** Those of the plan, or those the browser asks for, which a cache must then tell apart. */
function allowedHeaders(planned: CorsPlan['headers'], asked: string | undefined): HeaderList {
  if (planned !== undefined) return planned.length === 0 ? [] : ['access-control-allow-headers', planned.join(', ')]
  const vary = ['vary', 'access-control-request-headers']
  if (asked === undefined || asked.length > maxAskedLength || !tokens.test(asked)) return vary
  return ['access-control-allow-headers', asked, ...vary]
}
