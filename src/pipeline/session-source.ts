import type { SessionSource } from '#config/snapshot.ts'
import { cookieOf, type HeaderList, headerOf } from '#core/header-list.ts'
import type { InferenceRequest } from '#core/request.ts'

/** Finds the session of a request; undefined when it has none. */
export type SessionOf = (request: Pick<InferenceRequest, 'headers' | 'target' | 'session'>) => string | undefined

/** Headers by which agent clients name their sessions (endpoint-picker.md 4.7). */
const agentHeaders = ['x-claude-code-session-id', 'x-session-affinity', 'session-id', 'session_id']

const maxSessionLength = 256
const maxTokenLength = 16_384

/** Compiles where the session of a request comes from: the first source that gives a text counts. */
export function compileSessionOf(sources: readonly SessionSource[]): SessionOf {
  const readers = sources.map(readerOf)
  return (request) => {
    for (let i = 0; i < readers.length; i++) {
      const session = readers[i]!(request)
      if (session !== undefined && session !== '') return session.slice(0, maxSessionLength)
    }
    return undefined
  }
}

function readerOf({ from, name }: SessionSource): SessionOf {
  switch (from) {
    case 'header':
      return ({ headers }) => headerOf(headers, name)
    case 'cookie':
      return ({ headers }) => cookieOf(headers, name)
    case 'query':
      return ({ target }) => queryOf(target, name)
    case 'claim':
      return ({ headers }) => claimOf(headers, name)
    case 'agent':
      return ({ headers }) => {
        for (const header of agentHeaders) {
          const value = headerOf(headers, header) ?? ''
          if (value !== '') return value
        }
        return undefined
      }
    default:
      return ({ session }) => session
  }
}

function queryOf(target: string, name: string): string | undefined {
  const start = target.indexOf('?')
  return start < 0 ? undefined : (new URLSearchParams(target.slice(start + 1)).get(name) ?? undefined)
}

/**
 * A claim of the bearer token, which nobody has checked: whoever makes one up chooses no more than where their own requests
 * go.
 */
function claimOf(headers: HeaderList, name: string): string | undefined {
  const [, payload] = /^bearer +[\w-]+\.([\w-]+)\.[\w-]*$/i.exec(headerOf(headers, 'authorization') ?? '') ?? []
  if (payload === undefined || payload.length > maxTokenLength) return undefined
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
    if (typeof claims !== 'object' || claims === null || !Object.hasOwn(claims, name)) return undefined
    const claim = (claims as Record<string, unknown>)[name]
    return typeof claim === 'string' || typeof claim === 'number' ? String(claim) : undefined
  } catch {
    return undefined
  }
}
