import { z } from 'zod'
import type { Placement } from '#contracts/schedule.ts'
import { cookieOf, type HeaderList, headerOf } from '#core/header-list.ts'

/** Longest session id or token that is looked at; a longer one is none. */
const maxSessionLength = 1024

/** Where the token of an encoded endpoint travels, both ways. */
export const tokenHeader = z
  .string()
  .regex(/^[A-Za-z0-9-]{1,128}$/)
  .default('x-session-token')
  .describe('Header that carries the endpoint, base64, from each answer to the next request of the session.')

/** The id of the endpoint that a request names in its header; undefined when it names none. */
export function tokenEndpoint(headers: HeaderList, name: string): string | undefined {
  const token = headerOf(headers, name)
  if (token === undefined || token === '' || token.length > maxSessionLength) return undefined
  return Buffer.from(token, 'base64').toString('utf8')
}

/** Gives the client the token of its endpoint. */
export function tokenPlacement(name: string, endpointId: string): Placement {
  return { replyHeaders: [name, Buffer.from(endpointId, 'utf8').toString('base64')], ended: () => {} }
}

/** Where a session id comes from: the first of them that a request has. */
export const sessionSource = z.union([
  z.strictObject({ header: z.string().regex(/^[A-Za-z0-9_-]{1,128}$/) }),
  z.strictObject({ cookie: z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/) }),
])

/** A place where a session id may stand. */
export type SessionSource = z.infer<typeof sessionSource>

/** The session id of a request by its first source that has one. */
export function sessionIdOf(headers: HeaderList, sources: readonly SessionSource[]): string | undefined {
  for (const source of sources) {
    const id = 'header' in source ? headerOf(headers, source.header.toLowerCase()) : cookieOf(headers, source.cookie)
    if (id !== undefined && id !== '' && id.length <= maxSessionLength) return id
  }
  return undefined
}
