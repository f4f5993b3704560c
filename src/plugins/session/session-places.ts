import type { Candidates, Placement, PluginPorts, ScheduleRequest } from '#contracts/schedule.ts'
import { cookieOf, type HeaderList, headerOf } from '#core/header-list.ts'
import { SessionTable } from '#struct/session-table.ts'
import { hashText } from '#struct/text-hash.ts'
import { SessionTokens } from './session-token.ts'

/** How sessions are kept. */
export interface SessionSettings {
  /** How long a session is remembered after it was last used. */
  readonly ttlMs: number
  /** Where the client is given a token, and gives it back; undefined: it is given none. */
  readonly token: { readonly by: 'header' | 'cookie'; readonly name: string } | undefined
  /** Key of the tokens; '' takes a random one of this process. */
  readonly key: string
}

const markSeed = 0x5bd1e995

/**
 * Where sessions were last served, for a scorer of one profile and thread: by the client's token when it brings a valid one,
 * else by the table, under the model and the session's id.
 */
export class SessionPlaces {
  readonly #settings: SessionSettings
  readonly #endpointOf: PluginPorts['endpointOf']
  readonly #wallMs: PluginPorts['wallMs']
  readonly #table: SessionTable
  readonly #tokens: SessionTokens
  /** Mark of each endpoint in tokens, by slot; made when first needed. */
  readonly #marks: (string | undefined)[] = []

  constructor(settings: SessionSettings, { endpointOf, wallMs, sessionMemory }: PluginPorts) {
    this.#settings = settings
    this.#endpointOf = endpointOf
    this.#wallMs = wallMs
    this.#table = new SessionTable(sessionMemory)
    this.#tokens = new SessionTokens(settings.key === '' ? this.#table.secret : Buffer.from(settings.key, 'utf8'))
  }

  /** Index of the candidate where the session was last served, or -1. */
  find(request: ScheduleRequest, session: string | undefined, candidates: Candidates): number {
    const byToken = this.#findByToken(request, candidates)
    if (byToken >= 0 || session === undefined) return byToken
    const place = this.#table.find(keyOf(request, session), request.nowMs, this.#settings.ttlMs)
    if (place === undefined) return -1
    const { slots, count } = candidates
    for (let i = 0; i < count; i++) {
      if (slots[i] === place.row) return this.#tagOf(place.row) === place.mark ? i : -1
    }
    return -1
  }

  /** Notes that the session is served at a slot, until the placement ends without an answer. */
  placed(request: ScheduleRequest, session: string | undefined, slot: number): Placement | undefined {
    const { token } = this.#settings
    if (session === undefined && token === undefined) return undefined
    const place = { row: slot, mark: this.#tagOf(slot) }
    const key = session === undefined ? undefined : keyOf(request, session)
    const table = this.#table
    if (key !== undefined) table.bind(key, place, Math.max(request.nowMs, Number.MIN_VALUE))
    return {
      replyHeaders: token === undefined ? [] : this.#tokenHeaders(request, slot, token),
      ended({ isAnswered }) {
        if (!isAnswered && key !== undefined) table.forget(key, place)
      },
    }
  }

  #findByToken(request: ScheduleRequest, { slots, count }: Candidates): number {
    const { token } = this.#settings
    if (token === undefined) return -1
    const text = sentToken(request.headers, token)
    if (text === undefined) return -1
    const claim = this.#tokens.read(request.model, text, this.#nowS(request))
    if (claim === undefined) return -1
    for (let i = 0; i < count; i++) if (this.#markOf(slots[i]!) === claim.mark) return i
    return -1
  }

  #tokenHeaders(request: ScheduleRequest, slot: number, { by, name }: NonNullable<SessionSettings['token']>): string[] {
    const ttlS = Math.ceil(this.#settings.ttlMs / 1000)
    const claim = { mark: this.#markOf(slot), expiresAtS: this.#nowS(request) + ttlS }
    const text = this.#tokens.issue(request.model, claim)
    if (by === 'header') return [name, text]
    return ['set-cookie', `${name}=${text}; Max-Age=${ttlS}; Path=/; HttpOnly; SameSite=Lax`]
  }

  #nowS({ nowMs }: ScheduleRequest): number {
    return Math.floor((this.#wallMs?.() ?? nowMs) / 1000)
  }

  #markOf(slot: number): string {
    const known = this.#marks[slot]
    if (known !== undefined) return known
    const mark = this.#tokens.markOf(this.#endpointOf(slot)?.id ?? '')
    this.#marks[slot] = mark
    return mark
  }

  #tagOf(slot: number): number {
    return hashText(this.#endpointOf(slot)?.id ?? '', markSeed)
  }
}

function keyOf({ model }: ScheduleRequest, session: string): string {
  return `${model}\0${session}`
}

/** The token that a client brings. */
function sentToken(headers: HeaderList, { by, name }: { by: 'header' | 'cookie'; name: string }): string | undefined {
  return by === 'header' ? headerOf(headers, name) : cookieOf(headers, name)
}
