import type { ListenerPlan, Snapshot } from '#config/snapshot.ts'
import type { Timer } from '#core/clock.ts'
import { Fault } from '#core/fault.ts'
import type { AdapterIds } from '#datastore/adapter-ids.ts'
import { type EndpointTable, maxEndpoints } from '#datastore/endpoint-table.ts'
import { createHeldLeases, type HeldLeases, releaseHeld } from '#datastore/held-leases.ts'
import { checkAddress } from '#listen/address-check.ts'
import type { DecisionAnswer, DecisionQuery } from '#observe/decision-ring.ts'
import { metricBufferBytes } from '#observe/metric-columns.ts'
import type { ProcessLog } from '#observe/process-log.ts'
import { createSessionMemory } from '#struct/session-table.ts'
import { DataHost, type DataHostPorts } from './data-host.ts'
import type { ListenFailure, Settled, SocketPlan, ThreadListener } from './data-messages.ts'
import { listenFault, listenHint } from './listen-fault.ts'
import type { ExactMemory } from './prompt-exchange.ts'
import { Respawns } from './respawns.ts'

/** What the group of data threads works with. */
export interface DataThreadsPorts extends Omit<DataHostPorts, 'onExit'> {
  readonly count: number
  readonly table: EndpointTable
  /** Memory of the index of prompts (struct/prefix-index.ts). */
  readonly prefixMemory: { readonly buffer: SharedArrayBuffer }
  /** What engines tell of their caches. */
  readonly exact: ExactMemory
  /** Seed of the first thread; each has its own. */
  readonly seed: number
  readonly log: ProcessLog
  /** Descriptors that this process was given, by name of the listener. */
  readonly inherited: ReadonlyMap<string, readonly number[]>
  /** A thread begins to write metrics here; what it wrote before under this name is no longer read. */
  readonly onMetrics: (thread: string, buffer: SharedArrayBuffer) => void
  /** A thread is gone: its gauges mean nothing any more. */
  readonly onGone: (thread: string) => void
  /** Threads die faster than they are of use. */
  readonly onFatal: (message: string) => void
}

/** A data thread as the status page shows it. */
export interface DataThreadState {
  readonly name: string
  readonly state: 'serving' | 'starting' | 'stalled'
  readonly snapshotVersion: number
  /** How often a thread of this name has been replaced. */
  readonly restarts: number
  /** How long it has not run its event loop; 0 unless it is stalled. */
  readonly stalledMs: number
}

const heartbeatMs = 1000
/** A thread that does not come back for so many beats holds its clients for nothing: it is ended and replaced. */
const hungBeats = 30

interface Seat {
  readonly name: string
  readonly held: HeldLeases
  host: DataHost | undefined
  /** Whether the thread serves: its listeners are open. */
  isUp: boolean
  restarts: number
  wasStalled: boolean
}

/**
 * The data threads of the process. Each has sockets of its own for every listener, all on one address and port; the
 * system spreads connections over them. One that dies is replaced, and what it held is given back.
 */
export class DataThreads {
  readonly #ports: DataThreadsPorts
  readonly #sessions = createSessionMemory()
  readonly #seats: Seat[]
  readonly #respawns: Respawns
  /** Ports of the listeners, by name: as configured, or as the system chose. */
  #listenerPorts = new Map<string, number>()
  /** Inherited descriptors that no thread has yet. */
  #unused: ReadonlyMap<string, readonly number[]>
  /** Listeners that some thread could not open beside those that were inherited. */
  readonly #isNarrow = new Set<string>()
  #snapshot: Snapshot
  #adapterIds: AdapterIds
  #watch: Timer | undefined
  #ending = false

  /** Starts the threads; they open nothing before `listen`. */
  constructor(snapshot: Snapshot, adapterIds: AdapterIds, ports: DataThreadsPorts) {
    this.#ports = ports
    this.#snapshot = snapshot
    this.#adapterIds = adapterIds
    this.#unused = ports.inherited
    this.#respawns = new Respawns(ports.clock)
    this.#seats = Array.from({ length: ports.count }, (_, index) => ({
      name: `data-${index}`,
      held: createHeldLeases(maxEndpoints, index + 1),
      host: undefined,
      isUp: false,
      restarts: 0,
      wasStalled: false,
    }))
    for (const seat of this.#seats) this.#start(seat)
    this.#watchLater()
  }

  /** Resolves when every thread can open listeners; rejects when one has ended instead. */
  async loaded(): Promise<void> {
    await Promise.all(this.#hosts().map((host) => host.loaded))
  }

  /**
   * Rejects with what to do when a listener's address is taken by another program. Sockets that share a port would
   * open all the same.
   */
  async checkAddresses(plans: readonly ListenerPlan[] = this.#snapshot.listeners): Promise<void> {
    const isOurs = ({ address, port, name }: ListenerPlan): boolean =>
      port === 0 ||
      this.#unused.has(name) ||
      this.listeners.some((open) => open.port === port && open.address === address)
    for (const plan of plans) {
      if (isOurs(plan)) continue
      try {
        await checkAddress(plan.address, plan.port)
      } catch (caught) {
        const { message, code } = caught as NodeJS.ErrnoException
        throw listenFault({ listener: plan.name, message, code })
      }
    }
  }

  /** Opens the listeners in all threads; throws when one cannot be opened. The caller closes the group then. */
  async listen(): Promise<void> {
    const names = this.#snapshot.listeners.map(({ name }) => name)
    const { failures, error } = await this.#inTurn(names, (host, sockets) => host.listen(sockets))
    this.#unused = new Map()
    const [failure] = failures
    if (failure !== undefined) throw listenFault(failure)
    if (error !== undefined) throw new Fault('self', `a data thread cannot start: ${error}`)
    if (this.#hosts().length < this.#seats.length) throw new Fault('self', 'a data thread ended while it started')
    for (const seat of this.#seats) seat.isUp = true
  }

  /** Listeners that are open in at least one thread. */
  get listeners(): readonly ThreadListener[] {
    const byName = new Map<string, ThreadListener>()
    for (const { name, ...listener } of this.#hosts().flatMap((host) => host.listeners)) {
      const fds = [...(byName.get(name)?.fds ?? []), ...listener.fds]
      byName.set(name, { name, ...listener, fds })
    }
    return [...byName.values()]
  }

  /** What each thread is at. */
  get states(): readonly DataThreadState[] {
    return this.#seats.map(({ name, host, isUp, restarts }) => {
      const stalledMs = (host?.missedBeats ?? 0) * heartbeatMs
      const running = isUp ? 'serving' : 'starting'
      return {
        name,
        state: stalledMs > 0 ? 'stalled' : running,
        snapshotVersion: host?.snapshotVersion ?? 0,
        restarts,
        stalledMs,
      }
    })
  }

  /** What each thread has recorded of its decisions; an answer is undefined when the thread does not give one in time. */
  decisions(
    query: DecisionQuery,
  ): Promise<readonly { readonly thread: string; readonly answer: DecisionAnswer | undefined }[]> {
    return Promise.all(
      this.#seats.map(async ({ name, host }) => ({ thread: name, answer: await host?.decisions(query) })),
    )
  }

  /** Puts a snapshot in force in all threads; returns what is wrong with its listeners, undefined when nothing is. */
  async apply(snapshot: Snapshot, adapterIds: AdapterIds): Promise<string | undefined> {
    const before = new Set(this.#snapshot.listeners.map(({ name }) => name))
    this.#snapshot = snapshot
    this.#adapterIds = adapterIds
    const refused: ListenFailure[] = []
    for (const plan of snapshot.listeners) {
      await this.checkAddresses([plan]).catch(({ message }: Error) =>
        refused.push({ listener: plan.name, message, code: undefined }),
      )
    }
    const names = snapshot.listeners.map(({ name }) => name)
    const wanted = names.filter((name) => !refused.some(({ listener }) => listener === name))
    for (const name of before) if (!names.includes(name)) this.#listenerPorts.delete(name)
    const { failures, error } = await this.#inTurn(wanted, (host, sockets) => host.apply(snapshot, adapterIds, sockets))
    const messages = [
      ...refused.map(({ message }) => message),
      ...failures.map((failure) => listenFault(failure).message),
    ]
    if (error !== undefined) messages.push(error)
    return messages.length === 0 ? undefined : [...new Set(messages)].join(' ')
  }

  /** Stops accepting; resolves when every request has ended. Threads that die now are not replaced. */
  async drain(): Promise<void> {
    this.#ending = true
    await Promise.all(this.#hosts().map((host) => host.drain()))
  }

  /** Ends the threads. */
  async close(): Promise<void> {
    this.#ending = true
    this.#watch?.cancel()
    await Promise.all(this.#hosts().map((host) => host.close()))
  }

  #hosts(): DataHost[] {
    return this.#seats.flatMap(({ host }) => (host === undefined ? [] : [host]))
  }

  #start(seat: Seat): DataHost {
    const { count, table, prefixMemory, exact, seed, onMetrics } = this.#ports
    const { name, held } = seat
    const index = held.holder - 1
    const metrics = new SharedArrayBuffer(metricBufferBytes)
    onMetrics(name, metrics)
    const host = new DataHost(
      {
        thread: name,
        index,
        threads: count,
        seed: seed + index + count * seat.restarts,
        snapshot: this.#snapshot,
        adapterIds: this.#adapterIds,
        endpoints: table.buffer,
        held: held.buffer,
        sessions: this.#sessions,
        prefixes: prefixMemory,
        exact,
        metrics,
        heartbeat: new SharedArrayBuffer(8),
      },
      { ...this.#ports, onExit: (gone, error) => this.#ended(seat, gone, error) },
    )
    seat.host = host
    return host
  }

  /**
   * Has the first thread open its listeners, then the others: it learns which ports the system gives, and what it
   * cannot open the others do not open either.
   */
  async #inTurn(
    names: readonly string[],
    command: (host: DataHost, sockets: readonly SocketPlan[]) => Promise<Settled>,
  ): Promise<Settled> {
    const asked = this.#hosts()
    const [first, ...rest] = asked
    // Threads that are being replaced now start with the snapshot in force by then.
    if (first === undefined) return { listeners: [], failures: [], error: undefined }
    const settled = await command(first, this.#socketsFor(first, names))
    for (const { name, port } of settled.listeners) this.#listenerPorts.set(name, port)
    const open = names.filter((name) => !settled.failures.some(({ listener }) => listener === name))
    const others = await Promise.all(rest.map((host) => command(host, this.#socketsFor(host, open))))
    const failures = others.flatMap((other) => other.failures).filter((failure) => !this.#isTolerable(failure))
    // A thread that has ended meanwhile starts anew with the same command: that is no fault of the command.
    const isThere = this.#hosts()
    const error = [settled, ...others].find(
      (each, at) => each.error !== undefined && isThere.includes(asked[at] ?? first),
    )
    return { listeners: this.listeners, failures: [...settled.failures, ...failures], error: error?.error }
  }

  /** Inherited descriptors are dealt out to the threads; who gets none opens a socket on the same port. */
  #socketsFor({ data }: DataHost, names: readonly string[]): SocketPlan[] {
    return this.#snapshot.listeners
      .filter(({ name }) => names.includes(name))
      .map(({ name, port }) => {
        const fds = (this.#unused.get(name) ?? []).filter((_, at) => at % data.threads === data.index)
        return { listener: name, port: this.#listenerPorts.get(name) ?? port, fds }
      })
  }

  /** An inherited socket may not share its port: then the threads that have one serve the listener alone. */
  #isTolerable(failure: ListenFailure): boolean {
    const { listener, code } = failure
    if (code !== 'EADDRINUSE' || !this.#ports.inherited.has(listener)) return false
    if (!this.listeners.some(({ name }) => name === listener)) return false
    if (!this.#isNarrow.has(listener)) {
      this.#isNarrow.add(listener)
      this.#ports.log.warn({ listener }, `fewer threads than there are serve a listener: ${listenHint.narrow}`)
    }
    return true
  }

  #ended(seat: Seat, host: DataHost, error: Error): void {
    if (seat.host !== host) return
    const { table, log, onGone, onFatal, clock } = this.#ports
    seat.host = undefined
    seat.isUp = false
    const requests = releaseHeld(table, seat.held)
    onGone(seat.name)
    const fields = { thread: seat.name, requests, stack: error.stack }
    if (this.#ending) return void log.error(fields, `a data thread ended: ${error.message}`)
    const delayMs = this.#respawns.next()
    if (delayMs === undefined) {
      log.error(fields, `a data thread ended: ${error.message}`)
      return onFatal(this.#respawns.limitText)
    }
    log.error(fields, `a data thread ended and is replaced; its requests are lost: ${error.message}`)
    seat.restarts++
    clock.after(delayMs, () => void this.#replace(seat))
  }

  async #replace(seat: Seat): Promise<void> {
    if (this.#ending) return
    const host = this.#start(seat)
    try {
      await host.loaded
    } catch {
      return // Its end has been reported, and its next replacement is due.
    }
    if (this.#ending) return
    const names = this.#snapshot.listeners.map(({ name }) => name)
    const sockets = this.#socketsFor(host, names)
    const isCurrent = host.data.snapshot.version === this.#snapshot.version
    const settled = await (isCurrent ? host.listen(sockets) : host.apply(this.#snapshot, this.#adapterIds, sockets))
    if (seat.host !== host) return
    const failure = settled.failures.find((each) => !this.#isTolerable(each))
    if (failure === undefined && settled.error === undefined) {
      seat.isUp = true
      this.#ports.log.info({ thread: seat.name }, 'the data thread has been replaced')
      return
    }
    const message = failure === undefined ? settled.error : listenFault(failure).message
    this.#ports.log.error({ thread: seat.name }, `the data thread cannot be replaced yet: ${message}`)
    host.terminate()
  }

  #watchLater(): void {
    this.#watch = this.#ports.clock.after(heartbeatMs, () => {
      for (const seat of this.#seats) this.#watchOver(seat)
      this.#watchLater()
    })
  }

  #watchOver(seat: Seat): void {
    const { host, name } = seat
    if (host === undefined) return
    host.checkHeartbeat()
    const isStalled = host.missedBeats > 0
    if (isStalled && !seat.wasStalled) this.#ports.log.warn({ thread: name }, 'a data thread does not run its timers')
    if (!isStalled && seat.wasStalled) this.#ports.log.info({ thread: name }, 'the data thread runs again')
    seat.wasStalled = isStalled
    if (host.missedBeats < hungBeats) return
    this.#ports.log.error({ thread: name }, `a data thread has hung for ${hungBeats} s: it is ended`)
    host.terminate()
  }
}
