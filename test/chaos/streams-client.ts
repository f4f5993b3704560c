/**
 * A child process of streams.ts: opens so many streams through the gateway, reads every event and checks that none is
 * missing. On raw sockets, but for those that share sessions of HTTP/2.
 */
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import { machineMs } from './streams-engine.ts'

/** From the parent. */
export type ClientCommand =
  | {
      readonly kind: 'open'
      readonly port: number
      readonly streams: number
      /** How many of them share sessions of HTTP/2, on `sharedPort`. */
      readonly shared: number
      readonly sharedPort: number
    }
  /** Delays count from now on. */
  | { readonly kind: 'measure' }
  | { readonly kind: 'report' }

/** To the parent. */
export type ClientReport =
  | { readonly kind: 'open'; readonly streams: number }
  | {
      readonly kind: 'report'
      readonly events: number
      /** Events that were missing, twice or out of order. */
      readonly wrong: number
      /** Streams that came to their end in order. */
      readonly complete: number
      /** Streams that ended in any other way. */
      readonly lost: number
      readonly firstProblem: string | undefined
      readonly p50Ms: number
      readonly p99Ms: number
      readonly longestMs: number
    }

const maxDelays = 4_000_000
/** Streams being opened at a time. */
const openAtOnce = 100

/** Counts what all streams have seen. */
class Tally {
  events = 0
  wrong = 0
  complete = 0
  lost = 0
  firstProblem: string | undefined = undefined
  isMeasuring = false
  readonly delays = new Float32Array(maxDelays)
  measured = 0

  event(delayMs: number): void {
    this.events++
    if (this.isMeasuring && this.measured < maxDelays) this.delays[this.measured++] = delayMs
  }

  problem(text: string): void {
    this.firstProblem ??= text
  }
}

/** One stream: the beginning of an event that is not complete, and the number of the next. */
class ClientStream {
  readonly #tally: Tally
  readonly #opened: () => void
  #rest = ''
  #next = 0
  #isComplete = false

  constructor(tally: Tally, opened: () => void) {
    this.#tally = tally
    this.#opened = opened
  }

  read(bytes: Buffer): void {
    let text = this.#rest + bytes.toString('latin1')
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      this.#event(text.slice(0, end))
      text = text.slice(end + 2)
    }
    this.#rest = text
  }

  closed(): void {
    if (this.#isComplete) return
    this.#tally.lost++
    this.#tally.problem(`a stream ended at event ${this.#next} with ${JSON.stringify(this.#rest.slice(-200))}`)
    this.#opened()
  }

  #event(text: string): void {
    const match = /"at":([\d.e+]+),"n":(\d+)\}$/.exec(text)
    if (match === null) {
      if (text.endsWith('data: [DONE]')) {
        this.#isComplete = true
        this.#tally.complete++
      } else this.#tally.problem(`an event is ${JSON.stringify(text.slice(-300))}`)
      return
    }
    const n = Number(match[2])
    if (n !== this.#next) {
      this.#tally.wrong++
      this.#tally.problem(`event ${n} came instead of ${this.#next}`)
    }
    this.#next = n + 1
    this.#tally.event(machineMs() - Number(match[1]))
    if (n === 0) this.#opened()
  }
}

function bodyOf(index: number): string {
  return `{"model":"slow","messages":[{"role":"user","content":"stream ${index}"}],"stream":true}`
}

function request(index: number): string {
  const body = bodyOf(index)
  return `POST /v1/chat/completions HTTP/1.1\r\nhost: gateway.test\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
}

const streamsPerSession = 200

/** Opens streams that share connections. */
async function openShared(port: number, first: number, count: number, tally: Tally): Promise<void> {
  const opened: Promise<void>[] = []
  let session: ClientHttp2Session | undefined
  for (let i = 0; i < count; i++) {
    if (session === undefined || i % streamsPerSession === 0) {
      session = connectHttp2(`http://127.0.0.1:${port}`)
      session.on('error', (error) => tally.problem(String(error)))
    }
    opened.push(openOn(session, first + i, tally))
  }
  await Promise.all(opened)
}

function openOn(session: ClientHttp2Session, index: number, tally: Tally): Promise<void> {
  return new Promise((resolve) => {
    const stream = new ClientStream(tally, resolve)
    const headers = { ':method': 'POST', ':path': '/v1/chat/completions', 'content-type': 'application/json' }
    const call = session.request(headers)
    call.on('data', (bytes: Buffer) => stream.read(bytes))
    call.on('error', (error) => tally.problem(String(error)))
    call.on('close', () => stream.closed())
    call.end(bodyOf(index))
  })
}

function openStream(port: number, index: number, tally: Tally): Promise<void> {
  return new Promise((resolve) => {
    const stream = new ClientStream(tally, resolve)
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    socket.on('connect', () => socket.write(request(index)))
    socket.on('data', (bytes: Buffer) => stream.read(bytes))
    socket.on('error', (error) => tally.problem(String(error)))
    socket.on('close', () => stream.closed())
  })
}

function main(): void {
  const tally = new Tally()
  const send = (message: ClientReport): void => void process.send?.(message)
  const open = async (command: Extract<ClientCommand, { kind: 'open' }>): Promise<void> => {
    const { port, streams, shared, sharedPort } = command
    const alone = streams - shared
    let next = 0
    const worker = async (): Promise<void> => {
      while (next < alone) await openStream(port, next++, tally)
    }
    await Promise.all(Array.from({ length: openAtOnce }, worker))
    await openShared(sharedPort, alone, shared, tally)
    send({ kind: 'open', streams: streams - tally.lost })
  }
  process.on('message', (command: ClientCommand) => {
    if (command.kind === 'open') void open(command)
    else if (command.kind === 'measure') tally.isMeasuring = true
    else {
      const sorted = tally.delays.subarray(0, tally.measured).toSorted()
      const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
      const { events, wrong, complete, lost, firstProblem } = tally
      const delays = { p50Ms: at(0.5), p99Ms: at(0.99), longestMs: at(1) }
      send({ kind: 'report', events, wrong, complete, lost, firstProblem, ...delays })
    }
  })
  process.on('disconnect', () => process.exit(0))
}

if (process.send !== undefined && import.meta.main) main()
