/**
 * A child process of streams.ts: an engine that answers every request with a stream of numbered events, one each
 * interval, spread evenly over time. On raw sockets; told what to do by messages.
 */
import { createServer, type Socket } from 'node:net'

/** From the parent. */
export type EngineCommand =
  | {
      readonly kind: 'listen'
      readonly addresses: readonly string[]
      readonly port: number
      readonly intervalMs: number
    }
  /** Begins sending events. */
  | { readonly kind: 'send' }
  /** Ends every stream in order. */
  | { readonly kind: 'finish' }

/** To the parent. */
export type EngineReport =
  | { readonly kind: 'listening' }
  | { readonly kind: 'finished'; readonly events: number; readonly streams: number }

interface Stream {
  readonly socket: Socket
  next: number
}

const tickMs = 10
const head = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n'

/** Monotonic milliseconds that mean the same in every process of the machine. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/** An event of about the size of a chat chunk, with its number and when it was sent. */
function eventChunk(n: number): string {
  const event = `data: {"id":"chatcmpl-00000000000000000000000000000000","object":"chat.completion.chunk","created":1700000000,"model":"slow","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}],"at":${machineMs()},"n":${n}}\n\n`
  return `${event.length.toString(16)}\r\n${event}\r\n`
}

function main(): void {
  const streams: Stream[] = []
  let events = 0
  let intervalMs = 1000
  const report = (message: EngineReport): void => void process.send?.(message)
  const server = (): ReturnType<typeof createServer> =>
    createServer({ noDelay: true }, (socket) => {
      let received = ''
      socket.on('error', () => {})
      socket.on('data', (bytes: Buffer) => {
        received += bytes.toString('latin1')
        // The body is short and its end is known by its last byte.
        if (!received.includes('\r\n\r\n') || !received.endsWith('}')) return
        received = ''
        socket.write(head + eventChunk(0))
        events++
        streams.push({ socket, next: 1 })
      })
    })
  const send = (): void => {
    let at = 0
    let owed = 0
    setInterval(() => {
      owed += (streams.length * tickMs) / intervalMs
      for (; owed >= 1; owed--) {
        const stream = streams[at] as Stream
        at = (at + 1) % streams.length
        stream.socket.write(eventChunk(stream.next++))
        events++
      }
    }, tickMs)
  }
  process.on('message', (command: EngineCommand) => {
    if (command.kind === 'listen') {
      intervalMs = command.intervalMs
      let open = 0
      for (const host of command.addresses) {
        server().listen({ host, port: command.port, backlog: 4096 }, () => {
          if (++open === command.addresses.length) report({ kind: 'listening' })
        })
      }
    } else if (command.kind === 'send') send()
    else {
      const done = 'data: [DONE]\n\n'
      for (const { socket } of streams) socket.write(`${done.length.toString(16)}\r\n${done}\r\n0\r\n\r\n`)
      report({ kind: 'finished', events, streams: streams.length })
      streams.length = 0
    }
  })
  process.on('disconnect', () => process.exit(0))
}

if (process.send !== undefined && import.meta.main) main()
