import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/** What is sent to an engine. */
export interface Asked {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'OPTIONS' | 'HEAD'
  readonly path: string
  /** Sent as JSON. */
  readonly body?: unknown
  /** Sent as it is instead of `body`. */
  readonly raw?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** What came back, body complete. */
export interface Answered {
  /** 0 when the connection was closed without an answer. */
  readonly status: number
  /** Lower-case names, in the order they came. */
  readonly headers: readonly (readonly [string, string])[]
  readonly text: string
}

/** An engine that can be asked over HTTP; connections are kept between questions. */
export interface Engine {
  ask(asked: Asked): Promise<Answered>
  /** Sends a question and closes the connection after `holdMs`, without waiting for the end of the answer. */
  leave(asked: Asked, holdMs: number): Promise<void>
  /** A path that holds an adapter of that name where the engine runs. */
  adapterPath(name: string): string
  pause(durationMs: number): Promise<void>
  close(): void
}

/** Longest wait for an answer: an engine on two loaded cores takes its time. */
const answerLimitMs = 120_000

/** Connects to the engine at `url`. */
export function connectEngine(url: string, adapterPath: (name: string) => string): Engine {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 })
  const { hostname, port } = new URL(url)
  const start = ({ method, path, body, raw, headers }: Asked) => {
    const text = raw ?? (body === undefined ? undefined : JSON.stringify(body))
    const sent = request({
      host: hostname,
      port,
      method,
      path,
      agent,
      timeout: answerLimitMs,
      headers: {
        ...(text === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)) }),
        ...headers,
      },
    })
    sent.on('timeout', () => sent.destroy(new Error(`${method} ${path}: no answer within ${answerLimitMs} ms`)))
    sent.end(text)
    return sent
  }
  const ask = (asked: Asked): Promise<Answered> =>
    new Promise((resolve, reject) => {
      const sent = start(asked)
      sent.on('error', (error: NodeJS.ErrnoException) => {
        // A kept connection may have been closed meanwhile; a new one that closes is the engine's answer.
        if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') reject(error)
        else if (sent.reusedSocket) resolve(ask(asked))
        else resolve({ status: 0, headers: [], text: '' })
      })
      sent.on('response', (response) => {
        const parts: Buffer[] = []
        response.on('data', (part: Buffer) => parts.push(part))
        response.on('error', reject)
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: pairs(response.rawHeaders),
            text: Buffer.concat(parts).toString(),
          }),
        )
      })
    })
  return {
    ask,
    async leave(asked, holdMs) {
      const sent = start(asked)
      sent.on('error', () => {})
      sent.on('response', (response) => response.on('error', () => {}).resume())
      await sleep(holdMs)
      sent.destroy()
    },
    adapterPath,
    pause: (durationMs) => sleep(durationMs),
    close: () => agent.destroy(),
  }
}

function pairs(rawHeaders: readonly string[]): [string, string][] {
  return rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [[name.toLowerCase(), rawHeaders[i + 1] ?? '']] : []))
}
