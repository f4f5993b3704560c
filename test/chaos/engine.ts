import { createServer, type Server, type Socket } from 'node:net'
import { seededRng } from '#core/clock.ts'
import { upstreamBodyOf } from './content.ts'
import { EngineCall } from './engine-call.ts'
import { faultOf } from './faults.ts'
import type { ChaosRecord, Track } from './record.ts'

/** How an endpoint is, whatever the request. */
export type EngineHabit = 'present' | 'restarts' | 'never answers'

/** A model server on raw sockets that does to each request what its plan says. Shares no code with the gateway. */
export class ChaosEngine {
  readonly port: number
  readonly #record: ChaosRecord
  readonly #habit: EngineHabit
  readonly #sockets = new Set<Socket>()
  readonly #connections = new Set<EngineConnection>()
  #server: Server
  #restarting: Promise<void> = Promise.resolve()
  #wake: (() => void) | undefined = undefined
  #closed = false

  private constructor(port: number, habit: EngineHabit, record: ChaosRecord) {
    this.port = port
    this.#habit = habit
    this.#record = record
    this.#server = this.#createServer()
  }

  /** Listens on 127.0.0.1. */
  static async start(port: number, habit: EngineHabit, record: ChaosRecord): Promise<ChaosEngine> {
    const engine = new ChaosEngine(port, habit, record)
    await engine.#listen()
    if (habit === 'restarts') engine.#restarting = engine.#restartForEver(seededRng(port)())
    return engine
  }

  /** What the connections that are left carried last, for messages. */
  get leftOvers(): string[] {
    return [...this.#connections].filter(({ isInUse }) => isInUse).map((connection) => connection.describe())
  }

  /** Connections now open that carried a request; those of health probes are kept for good. */
  get connections(): number {
    let count = 0
    for (const connection of this.#connections) if (connection.isInUse) count++
    return count
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#wake?.()
    await this.#restarting
    await this.#stop()
  }

  #createServer(): Server {
    return createServer({ noDelay: true, allowHalfOpen: true }, (socket) => this.#accept(socket))
  }

  #listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ host: '127.0.0.1', port: this.port, backlog: 1024 }, resolve)
    })
  }

  /** Drops every connection and refuses new ones. */
  async #stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    for (const socket of this.#sockets) {
      // A socket that is reset behind its own end would never say that it is closed.
      if (socket.writable) socket.resetAndDestroy()
      else socket.destroy()
    }
    // One that is reset while its end is still being sent never says so: nobody waits for it.
    await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 300))])
  }

  /** Goes away and comes back, again and again, until the engine is closed. */
  async #restartForEver(drawn: number): Promise<void> {
    for (let share = drawn; !this.#closed; share = 1 - share) {
      await this.#pause(1500 + 1500 * share)
      if (this.#closed) return
      await this.#stop()
      this.#record.restarts++
      await this.#pause(200 + 300 * share)
      if (this.#closed) return
      this.#server = this.#createServer()
      await this.#listen()
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket)
    socket.unref()
    socket.on('error', () => {})
    socket.on('close', () => this.#sockets.delete(socket))
    if (this.#habit === 'never answers') {
      socket.on('data', () => {})
      socket.on('end', () => socket.end())
      return
    }
    const connection = new EngineConnection(socket, this.port, this.#record)
    this.#connections.add(connection)
    socket.on('data', (bytes: Buffer) => connection.read(bytes))
    socket.on('close', () => {
      this.#connections.delete(connection)
      connection.closed()
    })
    // A gateway that closes wants nothing more.
    socket.on('end', () => socket.destroy())
  }
}

const headEnd = Buffer.from('\r\n\r\n')

/** One connection from the gateway: one request after the other. */
class EngineConnection {
  requests = 0
  readonly #socket: Socket
  readonly #port: number
  readonly #record: ChaosRecord
  #received: Buffer = Buffer.alloc(0)
  #call: EngineCall | undefined = undefined
  #track: Track | undefined = undefined
  #head = ''
  /** Bytes of the body that have not come. */
  #missing = 0
  #body: Buffer[] = []
  #isAnswered = true

  constructor(socket: Socket, port: number, record: ChaosRecord) {
    this.#socket = socket
    this.#port = port
    this.#record = record
  }

  read(bytes: Buffer): void {
    // What comes when this side has closed is never read by anybody.
    let rest = this.#socket.writable ? bytes : Buffer.alloc(0)
    while (rest.length > 0) {
      if (this.#missing > 0) {
        const taken = rest.subarray(0, this.#missing)
        this.#body.push(taken)
        this.#missing -= taken.length
        rest = rest.subarray(taken.length)
        if (this.#missing === 0) this.#bodyRead()
        continue
      }
      this.#received = Buffer.concat([this.#received, rest])
      const end = this.#received.indexOf(headEnd)
      if (end < 0) return
      if (!this.#isAnswered) {
        this.#record.violation(
          this.#track,
          `an engine got another request before it had answered '${this.#call?.fault}'`,
        )
      }
      this.#head = this.#received.toString('latin1', 0, end)
      rest = this.#received.subarray(end + 4)
      this.#received = Buffer.alloc(0)
      this.#headRead()
    }
  }

  /** Open, and not of the health probe. */
  get isInUse(): boolean {
    return this.requests > 0 && !this.#socket.destroyed
  }

  /** The request that it carried last, in a line. */
  describe(): string {
    const { remotePort, destroyed, readableFlowing, writable } = this.#socket
    const state = `${destroyed ? 'destroyed' : ''} ${readableFlowing === true ? 'reading' : 'paused'} ${writable ? 'writable' : 'ended'}`
    return `from port ${remotePort}, ${this.requests} requests, last ${this.#call?.plan.id} ${this.#call?.fault}, ${state}`
  }

  /** The connection is gone. */
  closed(): void {
    if (!this.#isAnswered) this.#track?.note(`the connection of delivery ${this.#call?.delivery} is gone`)
    this.#call?.closed()
  }

  #headRead(): void {
    if (this.#head.startsWith('GET ')) {
      // A probe of the gateway: whether the engine is there.
      this.#socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}')
      return
    }
    const id = headerIn(this.#head, 'x-request-id') ?? ''
    const track = this.#record.find(id)
    if (track === undefined) {
      this.#record.violation(undefined, `an engine got a request that nobody sends now: ${id}`)
      this.#socket.destroy()
      return
    }
    this.requests++
    this.#track = track
    this.#missing = Number(headerIn(this.#head, 'content-length') ?? 0)
    this.#body = []
    this.#isAnswered = false
    const delivery = track.calls.length + 1
    const call = new EngineCall(track.plan, delivery, this.#socket, () => {
      this.#isAnswered = true
    })
    this.#call = call
    track.calls.push(call)
    track.note(`engine ${this.#port} gets delivery ${delivery}: ${call.fault}`)
    if (faultOf(call.fault).atHead === true) this.#act(call)
    else if (this.#missing === 0) this.#bodyRead()
  }

  #bodyRead(): void {
    const call = this.#call
    const track = this.#track
    if (call === undefined || track === undefined) return
    track.bodiesRead++
    const expected = upstreamBodyOf(track.plan)
    const got = Buffer.concat(this.#body).toString('latin1')
    if (got !== expected)
      this.#record.violation(track, `the engine got another body than was sent: ${firstDifference(got, expected)}`)
    if (!this.#head.startsWith('POST /v1/')) this.#record.violation(track, `the engine got ${this.#head.slice(0, 100)}`)
    if (faultOf(call.fault).atHead !== true) this.#act(call)
  }

  #act(call: EngineCall): void {
    this.#record.busy++
    void (async () => {
      try {
        await faultOf(call.fault).act(call)
      } finally {
        this.#record.busy--
      }
    })()
  }
}

/** Value of a header in the text of a head. */
function headerIn(head: string, name: string): string | undefined {
  const at = head.toLowerCase().indexOf(`\r\n${name}:`)
  if (at < 0) return undefined
  const end = head.indexOf('\r\n', at + 2)
  return head.slice(at + name.length + 3, end < 0 ? undefined : end).trim()
}

/** Where two texts differ, with what is around it. */
export function firstDifference(got: string, expected: string): string {
  let at = 0
  while (at < got.length && at < expected.length && got[at] === expected[at]) at++
  const around = (text: string): string => JSON.stringify(text.slice(Math.max(0, at - 30), at + 60))
  return `at ${at} of ${got.length} (expected ${expected.length}): ${around(got)} instead of ${around(expected)}`
}
