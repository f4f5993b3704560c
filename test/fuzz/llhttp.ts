import { createRequire } from 'node:module'

type Callback = (...args: never[]) => number | void

interface Parser {
  [callback: number]: Callback
  initialize(type: number, resource: object, maxHeaderBytes: number): void
  execute(data: Buffer): number | Error
  finish(): Error | undefined
  /** Frees it: the collector does not, and each has 8 KB. */
  close(): void
}

interface ParserClass {
  new (): Parser
  readonly REQUEST: 1
  readonly RESPONSE: 2
  readonly kOnHeaders: number
  readonly kOnHeadersComplete: number
  readonly kOnBody: number
  readonly kOnMessageComplete: number
}

const { HTTPParser, methods } = createRequire(import.meta.url)('_http_common') as {
  HTTPParser: ParserClass
  methods: readonly string[]
}

/** Methods that llhttp knows; it refuses all others. */
export const knownMethods: ReadonlySet<string> = new Set(methods)

/** One message as llhttp read it. */
export interface Message {
  readonly method: string | undefined
  readonly url: string
  readonly status: number
  readonly minor: number
  /** Flat; names in lower case. */
  readonly headers: readonly string[]
  /** As latin1. */
  readonly body: string
  readonly complete: boolean
}

/** What llhttp, strict as Node uses it, made of a stream. */
export interface Reading {
  readonly messages: readonly Message[]
  /** Its code, when it refused something. */
  readonly error: string | undefined
  /** Bytes that it took before that. */
  readonly taken: number
}

const maxHeaderBytes = 1024 * 1024

/** Reads a stream of requests or of responses. `hasNoBody`: the answers are to HEAD. */
export function readWithLlhttp(type: 'request' | 'response', input: Buffer, hasNoBody = false): Reading {
  const parser = new HTTPParser()
  parser.initialize(type === 'request' ? HTTPParser.REQUEST : HTTPParser.RESPONSE, {}, maxHeaderBytes)
  const messages: Message[] = []
  let headers: string[] = []
  let url = ''
  let body: Buffer[] = []
  let open: Omit<Message, 'body' | 'complete' | 'headers'> | undefined
  const close = (complete: boolean): void => {
    if (open === undefined) return
    const lower = headers.map((text, i) => (i % 2 === 0 ? text.toLowerCase() : text))
    messages.push({ ...open, headers: lower, body: Buffer.concat(body).toString('latin1'), complete })
    headers = []
    body = []
    url = ''
    open = undefined
  }
  parser[HTTPParser.kOnHeaders] = (more: readonly string[], target: string) => {
    // After the head these are trailers.
    if (open !== undefined) return
    headers.push(...more)
    url += target
  }
  parser[HTTPParser.kOnHeadersComplete] = (...args: unknown[]) => {
    const [, minor, more, method, target, status] = args as [number, number, string[]?, number?, string?, number?]
    headers.push(...(more ?? []))
    open = { method: methods[method ?? -1], url: target ?? url, status: status ?? 0, minor }
    return hasNoBody && (status ?? 200) >= 200 ? 1 : 0
  }
  parser[HTTPParser.kOnBody] = (data: Buffer) => void body.push(Buffer.from(data))
  parser[HTTPParser.kOnMessageComplete] = () => close(true)
  let taken = 0
  let error: string | undefined
  while (taken < input.length) {
    // After an upgrade that nobody takes up it stops behind the head and goes on when called again, as in Node's server.
    const result = parser.execute(input.subarray(taken))
    if (typeof result !== 'number') {
      const { code, bytesParsed } = result as Error & { code: string; bytesParsed: number }
      error = code
      taken += bytesParsed
      break
    }
    if (result === 0) break
    taken += result
  }
  close(false)
  parser.close()
  return { messages, error, taken }
}
