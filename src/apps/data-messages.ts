import type { Snapshot } from '#config/snapshot.ts'
import type { AdapterIds } from '#datastore/adapter-ids.ts'
import type { DecisionAnswer, DecisionQuery } from '#observe/decision-ring.ts'
import type { SeriesAnnouncement } from '#observe/metric-columns.ts'
import type { ExactMemory } from './prompt-exchange.ts'

/** What a data thread is started with. It opens no socket before it is told to. */
export interface DataThreadData {
  readonly thread: string
  /** Position among the data threads, from 0. */
  readonly index: number
  /** How many data threads there are. */
  readonly threads: number
  readonly seed: number
  readonly snapshot: Snapshot
  readonly adapterIds: AdapterIds
  readonly endpoints: SharedArrayBuffer
  /** What the thread holds of the endpoint table (datastore/held-leases.ts). */
  readonly held: SharedArrayBuffer
  /** Where sessions are (struct/session-table.ts). */
  readonly sessions: SharedArrayBuffer
  /** Which prompts went where (struct/prefix-index.ts). */
  readonly prefixes: { readonly buffer: SharedArrayBuffer }
  /** What engines tell of their caches. */
  readonly exact: ExactMemory
  readonly metrics: SharedArrayBuffer
  /** One Float64: when the thread last ran its timers, as Clock.nowMs says. */
  readonly heartbeat: SharedArrayBuffer
}

/** Where one thread gets the sockets of a listener from. */
export interface SocketPlan {
  /** Name of the listener. */
  readonly listener: string
  /** The port that another thread was given, where the listener leaves it to the system. */
  readonly port: number
  /** Descriptors of this process that listen already and belong to this thread from now on; none: it opens its own. */
  readonly fds: readonly number[]
}

/** A listener as a thread has it open. */
export interface ThreadListener {
  readonly name: string
  readonly address: string
  readonly port: number
  readonly tls: boolean
  /** Its listening descriptors. */
  readonly fds: readonly number[]
}

/** A listener that a thread could not open, and why. */
export interface ListenFailure {
  readonly listener: string
  readonly message: string
  readonly code: string | undefined
}

/** How a command went: all that is open now, and what could not be opened. */
export interface Settled {
  readonly listeners: readonly ThreadListener[]
  readonly failures: readonly ListenFailure[]
  /** What went wrong otherwise; the thread is gone, say. */
  readonly error: string | undefined
}

/**
 * From the main thread to a data thread. Every message is answered by one with the same `id`. A listener that is not
 * among the sockets is not opened; one that is open stays open as long as the snapshot has it.
 */
export type DataCommand =
  | { readonly id: number; readonly kind: 'listen'; readonly sockets: readonly SocketPlan[] }
  | {
      readonly id: number
      readonly kind: 'apply'
      readonly snapshot: Snapshot
      readonly adapterIds: AdapterIds
      readonly sockets: readonly SocketPlan[]
    }
  | { readonly id: number; readonly kind: 'decisions'; readonly query: DecisionQuery }
  | { readonly id: number; readonly kind: 'drain' }
  | { readonly id: number; readonly kind: 'close' }

/** From a data thread to the main thread. */
export type DataEvent =
  | { readonly kind: 'loaded' }
  | ({ readonly kind: 'done'; readonly id: number } & Settled)
  | { readonly kind: 'decided'; readonly id: number; readonly answer: DecisionAnswer }
  | { readonly kind: 'series'; readonly series: SeriesAnnouncement }
  | { readonly kind: 'fault'; readonly message: string; readonly stack: string | undefined; readonly requestId: string }
