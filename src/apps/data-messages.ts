import type { Snapshot } from '#config/snapshot.ts'
import type { AdapterIds } from '#datastore/adapter-ids.ts'
import type { SeriesAnnouncement } from '#observe/metric-columns.ts'
import type { OpenListener } from './data-plane.ts'

/** What a data thread is started with. */
export interface DataThreadData {
  readonly thread: string
  readonly seed: number
  readonly snapshot: Snapshot
  readonly adapterIds: AdapterIds
  readonly endpoints: SharedArrayBuffer
  readonly metrics: SharedArrayBuffer
}

/** From the main thread to a data thread. Every message is answered by one with the same `id`. */
export type DataCommand =
  | { readonly id: number; readonly kind: 'apply'; readonly snapshot: Snapshot; readonly adapterIds: AdapterIds }
  | { readonly id: number; readonly kind: 'drain' }
  | { readonly id: number; readonly kind: 'close' }

/** From a data thread to the main thread. */
export type DataEvent =
  | { readonly kind: 'started'; readonly listeners: readonly OpenListener[] }
  | { readonly kind: 'failed'; readonly message: string; readonly code: string | undefined }
  | {
      readonly kind: 'done'
      readonly id: number
      readonly listeners: readonly OpenListener[]
      readonly error: string | undefined
    }
  | { readonly kind: 'series'; readonly series: SeriesAnnouncement }
  | { readonly kind: 'fault'; readonly message: string; readonly stack: string | undefined; readonly requestId: string }
