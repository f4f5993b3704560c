import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

/** One request as it arrived, body complete. */
export interface Call {
  readonly method: string
  /** Path and query, as sent. */
  readonly target: string
  /** Path without the query. */
  readonly path: string
  /** Lower-case name to value; repeated ones joined by `, `. */
  readonly headers: ReadonlyMap<string, string>
  /** Lower-case names and values in the order they came, repeated ones kept. */
  readonly headerList: readonly (readonly [string, string])[]
  readonly body: Buffer
  /** Epoch milliseconds. */
  readonly atMs: number
  /** Whether the answer's text is to be what arrived. */
  readonly isEcho: boolean
  /** The fault the request asks for, in the short form. */
  readonly faultText: string | undefined
  /** Tokens after which the answer ends by itself, which nobody but the engine knows: the header `x-sim-tokens`. */
  readonly answerTokens: number | undefined
}

/** What arrived, as shown to tests. */
export interface Arrival {
  readonly method: string
  readonly target: string
  readonly headers: Readonly<Record<string, string>>
  readonly headerList: readonly (readonly [string, string])[]
  readonly bodyBytes: number
  readonly bodySha256: string
  /** The body, or its first {@link SHOWN_BODY_BYTES}. */
  readonly bodyBase64: string
  readonly atMs: number
}

/** Bytes of a body that are shown; the rest is covered by the hash and the length. */
const SHOWN_BODY_BYTES = 1024 * 1024

const FAULT_MARKER = 'SIM_FAULT('

/** Makes a call from a request and its collected body. */
export function callFrom(request: IncomingMessage, body: Buffer, atMs: number): Call {
  const headerList: [string, string][] = []
  const headers = new Map<string, string>()
  for (let i = 0; i + 1 < request.rawHeaders.length; i += 2) {
    const name = request.rawHeaders[i]!.toLowerCase()
    const value = request.rawHeaders[i + 1]!
    headerList.push([name, value])
    const before = headers.get(name)
    headers.set(name, before === undefined ? value : `${before}, ${value}`)
  }
  const target = request.url ?? '/'
  const query = target.indexOf('?')
  return {
    method: request.method ?? 'GET',
    target,
    path: query < 0 ? target : target.slice(0, query),
    headers,
    headerList,
    body,
    atMs,
    isEcho: headers.get('x-sim-echo') === '1' || body.includes('SIM_ECHO'),
    faultText: headers.get('x-sim-fault') ?? faultMarker(body),
    answerTokens: wholeNumber(headers.get('x-sim-tokens')),
  }
}

/** A whole number from 1 on; undefined for everything else. */
function wholeNumber(text: string | undefined): number | undefined {
  const value = Number(text)
  return Number.isInteger(value) && value > 0 ? value : undefined
}

function faultMarker(body: Buffer): string | undefined {
  const start = body.indexOf(FAULT_MARKER)
  if (start < 0) return undefined
  const end = body.indexOf(')', start)
  return end < 0 ? undefined : body.toString('latin1', start + FAULT_MARKER.length, end)
}

/** Describes a call for tests. */
export function arrivalOf(call: Call): Arrival {
  return {
    method: call.method,
    target: call.target,
    headers: Object.fromEntries(call.headers),
    headerList: call.headerList,
    bodyBytes: call.body.length,
    bodySha256: createHash('sha256').update(call.body).digest('hex'),
    bodyBase64: call.body.subarray(0, SHOWN_BODY_BYTES).toString('base64'),
    atMs: call.atMs,
  }
}

/** Most bytes of bodies kept for `CallRing`, so that large ones cannot fill the memory. */
const KEPT_BODY_BYTES = 64 * 1024 * 1024

/** The last calls, oldest first, up to a fixed number and size; the newest is always there. */
export class CallRing {
  readonly #capacity: number
  readonly #calls: Call[] = []
  #bodyBytes = 0

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  add(call: Call): void {
    this.#calls.push(call)
    this.#bodyBytes += call.body.length
    while (this.#calls.length > 1 && (this.#calls.length > this.#capacity || this.#bodyBytes > KEPT_BODY_BYTES)) {
      this.#bodyBytes -= this.#calls.shift()?.body.length ?? 0
    }
  }

  arrivals(): Arrival[] {
    return this.#calls.map(arrivalOf)
  }
}
