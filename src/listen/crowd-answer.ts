import type { Socket } from 'node:net'

/** How long a client that was turned away may take to read why. */
const lingerMs = 1_000
/** Most of those clients at a time; beyond them sockets are closed without a word. */
const maxLingering = 256

const body =
  '{"error":{"message":"The listener holds as many connections as it may.","type":"server_error","param":null,' +
  '"code":"too_many_connections"}}'

/** Written without reading, as cheaply as possible. */
const text =
  'HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nx-infer-reason: too-many-connections\r\n' +
  `retry-after: 1\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`

interface Lingering {
  readonly socket: Socket
  readonly untilMs: number
}

/** Answers connections beyond the limit. What they send is swallowed, or a reset would take the answer from them. */
export class CrowdAnswer {
  /** Oldest first. */
  readonly #lingering: Lingering[] = []

  /** Sockets that still have to go. */
  get lingering(): number {
    return this.#lingering.length
  }

  /** Answers and closes a socket whose bytes nobody reads. */
  give(socket: Socket, nowMs: number): void {
    socket.on('error', ignore)
    if (this.#lingering.length >= maxLingering) {
      socket.destroy()
      return
    }
    socket.on('data', ignore)
    socket.on('end', destroy)
    socket.end(text, 'latin1')
    this.#lingering.push({ socket, untilMs: nowMs + lingerMs })
  }

  /** Drops those whose time is over. */
  sweep(nowMs: number): void {
    let gone = 0
    for (const { socket, untilMs } of this.#lingering) {
      if (untilMs > nowMs && !socket.destroyed) break
      socket.destroy()
      gone++
    }
    this.#lingering.splice(0, gone)
  }
}

function ignore(): void {}

function destroy(this: Socket): void {
  this.destroy()
}
