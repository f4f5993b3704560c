import { type MessagePort, Worker } from 'node:worker_threads'
import type { Snapshot } from '#config/snapshot.ts'
import { Fault } from '#core/fault.ts'
import type { AdapterIds } from '#datastore/adapter-ids.ts'
import { type LogSink, servePortSink } from '#observe/log-sink.ts'
import { metricBufferBytes, type SeriesAnnouncement } from '#observe/metric-columns.ts'
import type { DataCommand, DataEvent, DataThreadData } from './data-messages.ts'
import type { OpenListener } from './data-plane.ts'

/** What the main thread does with what a data thread says. */
export interface DataHostPorts {
  readonly thread: string
  readonly endpoints: SharedArrayBuffer
  readonly accessSink: LogSink
  readonly seed: number
  readonly onMetrics: (thread: string, buffer: SharedArrayBuffer) => void
  readonly onSeries: (thread: string, series: SeriesAnnouncement) => void
  readonly onFault: (message: string, stack: string | undefined, requestId: string) => void
  /** The thread has ended without being asked to. */
  readonly onExit: (error: Error) => void
}

/**
 * Young generation of a data thread. What a request allocates is dead when it has ended, so collections cost what is in
 * flight, however many there are; a larger generation only leaves the processor's cache (npm run bench -- small).
 */
const youngGenerationMb = 16

type AnyEvent = DataEvent | { readonly kind: 'log-port'; readonly port: MessagePort }
type Settled = { readonly listeners: readonly OpenListener[]; readonly error: string | undefined }

/** The main thread's side of one data thread. */
export class DataHost {
  readonly #worker: Worker
  readonly #ports: DataHostPorts
  readonly #waiting = new Map<number, (settled: Settled) => void>()
  #nextId = 1
  #ending = false

  private constructor(worker: Worker, ports: DataHostPorts) {
    this.#worker = worker
    this.#ports = ports
    worker.on('message', (event: AnyEvent) => this.#event(event))
  }

  /** Starts a thread; resolves when its listeners are open, rejects when one cannot be opened. */
  static start(
    snapshot: Snapshot,
    adapterIds: AdapterIds,
    ports: DataHostPorts,
  ): Promise<{ host: DataHost; listeners: readonly OpenListener[] }> {
    const metrics = new SharedArrayBuffer(metricBufferBytes)
    const { thread, seed, endpoints } = ports
    ports.onMetrics(thread, metrics)
    const workerData: DataThreadData = { thread, seed, snapshot, adapterIds, endpoints, metrics }
    const worker = new Worker(new URL('./data-thread.ts', import.meta.url), {
      workerData,
      name: thread,
      resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMb },
    })
    const host = new DataHost(worker, ports)
    return new Promise((resolve, reject) => {
      worker.on('message', (event: AnyEvent) => {
        if (event.kind === 'started') resolve({ host, listeners: event.listeners })
        else if (event.kind === 'failed') {
          host.#ending = true
          reject(listenFault(event.message, event.code))
          void worker.terminate()
        }
      })
      worker.on('error', (thrown) => {
        const error = thrown instanceof Error ? thrown : new Fault('self', String(thrown))
        reject(error)
        host.#exited(error)
      })
      worker.on('exit', () => host.#exited(new Fault('self', 'the data thread ended')))
    })
  }

  /** Puts a snapshot in force in the thread. */
  apply(snapshot: Snapshot, adapterIds: AdapterIds): Promise<Settled> {
    return this.#ask((id) => ({ id, kind: 'apply', snapshot, adapterIds }))
  }

  /** Stops accepting; resolves when every request has ended. */
  async drain(): Promise<void> {
    await this.#ask((id) => ({ id, kind: 'drain' }))
  }

  /** Ends the thread. */
  async close(): Promise<void> {
    this.#ending = true
    await this.#ask((id) => ({ id, kind: 'close' }))
    await this.#worker.terminate()
  }

  #ask(command: (id: number) => DataCommand): Promise<Settled> {
    const id = this.#nextId++
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve)
      this.#worker.postMessage(command(id))
    })
  }

  #event(event: AnyEvent): void {
    const { thread, onSeries, onFault, accessSink } = this.#ports
    if (event.kind === 'series') onSeries(thread, event.series)
    else if (event.kind === 'fault') onFault(event.message, event.stack, event.requestId)
    else if (event.kind === 'log-port') servePortSink(event.port, accessSink)
    else if (event.kind === 'done') {
      this.#waiting.get(event.id)?.({ listeners: event.listeners, error: event.error })
      this.#waiting.delete(event.id)
    }
  }

  #exited(error: Error): void {
    for (const resolve of this.#waiting.values()) resolve({ listeners: [], error: error.message })
    this.#waiting.clear()
    if (!this.#ending) this.#ports.onExit(error)
    this.#ending = true
  }
}

/** The system's error on opening a listener, in words that say what to do. */
function listenFault(message: string, code: string | undefined): Fault {
  const hint =
    code === 'EADDRINUSE'
      ? ' Another program listens there: stop it, or choose another port with listeners[].port.'
      : code === 'EACCES'
        ? ' Ports below 1024 need privileges: choose another port with listeners[].port.'
        : ''
  return new Fault('self', `a listener cannot be opened: ${message}.${hint}`)
}
