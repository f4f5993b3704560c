import { type MessagePort, Worker } from 'node:worker_threads'
import type { Snapshot } from '#config/snapshot.ts'
import type { Clock } from '#core/clock.ts'
import { Fault } from '#core/fault.ts'
import type { AdapterIds } from '#datastore/adapter-ids.ts'
import type { DecisionAnswer, DecisionQuery } from '#observe/decision-ring.ts'
import { type LogSink, servePortSink } from '#observe/log-sink.ts'
import type { SeriesAnnouncement } from '#observe/metric-columns.ts'
import type { DataCommand, DataEvent, DataThreadData, Settled, SocketPlan, ThreadListener } from './data-messages.ts'

/** What the main thread does with what a data thread says. */
export interface DataHostPorts {
  readonly clock: Clock
  readonly accessSink: LogSink
  readonly onSeries: (thread: string, series: SeriesAnnouncement) => void
  readonly onFault: (message: string, stack: string | undefined, requestId: string) => void
  /** Where the thread asks for the tokens of prompts. */
  readonly onPromptPort: (port: MessagePort) => void
  /** The thread has ended without being asked to: it writes nothing any more. Called at most once. */
  readonly onExit: (host: DataHost, error: Error) => void
}

/**
 * Young generation of a data thread. What a request allocates is dead when it has ended, so collections cost what is in
 * flight, however many there are; a larger generation only leaves the processor's cache (npm run bench -- small).
 */
const youngGenerationMb = 16

type AnyEvent = DataEvent | { readonly kind: 'log-port' | 'prompt-port'; readonly port: MessagePort }

/** What a thread may take for its end. */
const closeLimitMs = 2000

/** What a thread may take for saying what it has recorded; it may be busy. */
const answerLimitMs = 1000

/** Most questions that wait for one thread. */
const maxAsked = 16

/** Beats of the watcher without a beat of the thread after which it counts as stalled. */
const stalledAfterBeats = 3

/** The main thread's side of one data thread. */
export class DataHost {
  readonly data: DataThreadData
  readonly #worker: Worker
  readonly #ports: DataHostPorts
  readonly #heartbeat: Float64Array
  readonly #waiting = new Map<number, (settled: Settled) => void>()
  /** Those who wait for recorded decisions. */
  readonly #asked = new Map<number, (answer: DecisionAnswer | undefined) => void>()
  readonly #loaded: Promise<void>
  #listeners: readonly ThreadListener[] = []
  #snapshotVersion: number
  #nextId = 1
  #isLoaded = false
  #isGone = false
  #isEnding = false
  #lastBeatMs = 0
  #missedBeats = 0

  /** Starts a thread. */
  constructor(data: DataThreadData, ports: DataHostPorts) {
    this.data = data
    this.#ports = ports
    this.#heartbeat = new Float64Array(data.heartbeat)
    this.#snapshotVersion = data.snapshot.version
    const worker = new Worker(new URL('./data-thread.ts', import.meta.url), {
      workerData: data,
      name: data.thread,
      resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMb },
    })
    this.#worker = worker
    this.#loaded = new Promise((resolve, reject) => {
      worker.on('message', (event: AnyEvent) => {
        if (event.kind !== 'loaded') return this.#event(event)
        this.#isLoaded = true
        resolve()
      })
      let error: Error = new Fault('self', 'it ended by itself')
      worker.on('error', (thrown) => {
        error = thrown instanceof Error ? thrown : new Fault('self', String(thrown))
      })
      worker.on('exit', () => {
        reject(error)
        this.#exited(error)
      })
    })
    // Whoever waits for the thread to load is told; when nobody does, its end is reported all the same.
    this.#loaded.catch(() => {})
  }

  /** Resolves when the thread takes commands; rejects when it has ended before. */
  get loaded(): Promise<void> {
    return this.#loaded
  }

  /** What the thread had open when it last answered. */
  get listeners(): readonly ThreadListener[] {
    return this.#listeners
  }

  /** Of the snapshot that the thread works with. */
  get snapshotVersion(): number {
    return this.#snapshotVersion
  }

  /** How many times in a row `checkHeartbeat` has found the thread where it was; 0 unless it is stalled. */
  get missedBeats(): number {
    return this.#missedBeats >= stalledAfterBeats ? this.#missedBeats : 0
  }

  /**
   * Looks whether the thread has run its timers since the last call. Beats are counted and no time is taken, because
   * a machine that stood still has stopped this thread as well.
   */
  checkHeartbeat(): void {
    const beatMs = this.#heartbeat[0] ?? 0
    this.#missedBeats = this.#isLoaded && beatMs === this.#lastBeatMs ? this.#missedBeats + 1 : 0
    this.#lastBeatMs = beatMs
  }

  /** Opens listeners. */
  listen(sockets: readonly SocketPlan[]): Promise<Settled> {
    return this.#ask((id) => ({ id, kind: 'listen', sockets }))
  }

  /** Puts a snapshot in force in the thread. */
  async apply(snapshot: Snapshot, adapterIds: AdapterIds, sockets: readonly SocketPlan[]): Promise<Settled> {
    const settled = await this.#ask((id) => ({ id, kind: 'apply', snapshot, adapterIds, sockets }))
    this.#snapshotVersion = snapshot.version
    return settled
  }

  /** What the thread has recorded; undefined when it does not say so in time, or is gone. */
  decisions(query: DecisionQuery): Promise<DecisionAnswer | undefined> {
    if (this.#isGone || !this.#isLoaded || this.#asked.size >= maxAsked) return Promise.resolve(undefined)
    const id = this.#nextId++
    return new Promise((resolve) => {
      const timer = this.#ports.clock.after(answerLimitMs, () => this.#answered(id, undefined))
      this.#asked.set(id, (answer) => {
        timer.cancel()
        resolve(answer)
      })
      this.#post({ id, kind: 'decisions', query })
    })
  }

  /** Stops accepting; resolves when every request has ended. */
  async drain(): Promise<void> {
    await this.#ask((id) => ({ id, kind: 'drain' }))
  }

  /** Ends the thread in order, so that what it has to log is logged; one that does not answer is ended all the same. */
  async close(): Promise<void> {
    this.#isEnding = true
    const limit = new Promise<void>((resolve) => this.#ports.clock.after(closeLimitMs, resolve))
    await Promise.race([this.#ask((id) => ({ id, kind: 'close' })), limit])
    await this.#worker.terminate()
  }

  /** Ends the thread wherever it is, as if it had died. */
  terminate(): void {
    void this.#worker.terminate()
  }

  #ask(command: (id: number) => DataCommand): Promise<Settled> {
    if (this.#isGone) return Promise.resolve({ listeners: [], failures: [], error: goneText })
    const id = this.#nextId++
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve)
      this.#post(command(id))
    })
  }

  #post(command: DataCommand): void {
    this.#worker.postMessage(command)
  }

  #answered(id: number, answer: DecisionAnswer | undefined): void {
    this.#asked.get(id)?.(answer)
    this.#asked.delete(id)
  }

  #event(event: AnyEvent): void {
    const { onSeries, onFault, onPromptPort, accessSink } = this.#ports
    if (event.kind === 'series') onSeries(this.data.thread, event.series)
    else if (event.kind === 'fault') onFault(event.message, event.stack, event.requestId)
    else if (event.kind === 'log-port') servePortSink(event.port, accessSink)
    else if (event.kind === 'prompt-port') onPromptPort(event.port)
    else if (event.kind === 'decided') this.#answered(event.id, event.answer)
    else if (event.kind === 'done') {
      this.#listeners = event.listeners
      this.#waiting.get(event.id)?.(event)
      this.#waiting.delete(event.id)
    }
  }

  #exited(error: Error): void {
    this.#isGone = true
    this.#listeners = []
    for (const resolve of this.#waiting.values()) resolve({ listeners: [], failures: [], error: goneText })
    this.#waiting.clear()
    for (const id of this.#asked.keys()) this.#answered(id, undefined)
    if (!this.#isEnding) this.#ports.onExit(this, error)
  }
}

const goneText = 'the data thread has ended'
