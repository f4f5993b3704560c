import { type ClientHttp2Session, type ClientHttp2Stream, connect, type SecureClientSessionOptions } from 'node:http2'

/** An answer on a stream, as far as it came. */
export interface Http2Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string
  /** How the stream ended; 0 is well. */
  readonly code: number
}

/** A session with a gateway on this machine. */
export async function http2Session(url: string, options: SecureClientSessionOptions = {}): Promise<ClientHttp2Session> {
  const session = connect(url, { rejectUnauthorized: false, ...options })
  await new Promise<void>((resolve, reject) => {
    session.once('error', reject)
    session.once('remoteSettings', () => resolve())
  })
  session.on('error', () => {})
  return session
}

/** Asks for a chat of so many tokens. */
export function chatStream(session: ClientHttp2Session, tokens: number, more: object = {}): ClientHttp2Stream {
  const messages = [{ role: 'user', content: 'hello' }]
  const body = JSON.stringify({ model: 'tiny', messages, max_tokens: tokens, stream: true, ...more })
  const stream = session.request({
    ':method': 'POST',
    ':path': '/v1/chat/completions',
    'content-type': 'application/json',
  })
  stream.end(body)
  return stream
}

/** Reads an answer to its end, whatever that is. */
export function answerOf(stream: ClientHttp2Stream): Promise<Http2Answer> {
  let head: Readonly<Record<string, unknown>> = {}
  const parts: Buffer[] = []
  stream.on('response', (headers) => {
    head = headers
  })
  stream.on('data', (part: Buffer) => parts.push(part))
  stream.on('error', () => {})
  return new Promise((resolve) => {
    stream.on('close', () => {
      const body = Buffer.concat(parts).toString()
      resolve({ status: Number(head[':status'] ?? 0), headers: head, body, code: stream.rstCode ?? -1 })
    })
  })
}
