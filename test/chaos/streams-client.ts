/**
 * A child process of streams.ts: opens so many streams through the gateway, reads every event and checks that none is
 * missing. On raw sockets.
 */
import { connect } from 'node:net'
import { machineMs } from './streams-engine.ts'

/** From the parent. */
export type ClientCommand =
  | { readonly kind: 'open'; readonly port: number; readonly streams: number }
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

function request(index: number): string {
  const body = `{"model":"slow","messages":[{"role":"user","content":"stream ${index}"}],"stream":true}`
  return `POST /v1/chat/completions HTTP/1.1\r\nhost: gateway.test\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
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
  const open = async (port: number, streams: number): Promise<void> => {
    let next = 0
    const worker = async (): Promise<void> => {
      while (next < streams) await openStream(port, next++, tally)
    }
    await Promise.all(Array.from({ length: openAtOnce }, worker))
    send({ kind: 'open', streams: streams - tally.lost })
  }
  process.on('message', (command: ClientCommand) => {
    if (command.kind === 'open') void open(command.port, command.streams)
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
