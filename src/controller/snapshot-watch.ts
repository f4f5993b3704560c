import { type Documents, loadDocuments } from '#config/load-documents.ts'
import { FileWatch, type WatchPorts } from '#config/watch-file.ts'
import type { Clock } from '#core/clock.ts'
import { dnsNames } from './dns-names.ts'
import { DnsResolver, systemLookup } from './dns-resolver.ts'
import { type LoadPorts, type LoadResult, snapshotOf } from './load-snapshot.ts'

/** What following a configuration needs from outside. */
export interface SnapshotWatchPorts extends LoadPorts {
  readonly clock: Clock
  /** How files are watched; the file system unless given. */
  readonly files?: Omit<WatchPorts, 'clock'>
  /**
   * Called after every change of a file, certificate or address, with the new snapshot or with what is wrong; never
   * while a call is running. On problems whoever is called keeps what is in force.
   */
  readonly onLoad: (result: LoadResult) => void
  /** Called when a DNS name cannot be looked up; its last known addresses stay. */
  readonly onLookupFailure?: (name: string, error: unknown) => void
}

/**
 * A configuration that is followed: files, the certificates they name, and DNS names of endpoints. Loads are one after
 * the other; changes that come during one lead to one more.
 */
export class SnapshotWatch {
  readonly #source: string
  readonly #ports: SnapshotWatchPorts
  readonly #files: FileWatch
  readonly #resolver: DnsResolver
  /** Of the snapshot in force: a change of addresses goes on from there even while a file is broken. */
  #good: Documents | undefined
  #isLoading = false
  #isStale = false
  #isClosed = false

  constructor(source: string, ports: SnapshotWatchPorts) {
    const { clock, files, lookup = systemLookup, onLookupFailure } = ports
    this.#source = source
    this.#ports = ports
    this.#files = new FileWatch({ clock, ...files }, () => this.reload())
    this.#resolver = new DnsResolver({
      clock,
      lookup,
      onChange: () => this.#onAddresses(),
      ...(onLookupFailure === undefined ? {} : { onFailure: onLookupFailure }),
    })
  }

  /** Loads for the first time and begins to watch. To be called once, before anything else. */
  async start(): Promise<LoadResult> {
    this.#isLoading = true
    // What changes from here on must lead to a further load.
    this.#files.watch([this.#source])
    const result = await this.#load()
    this.#isLoading = false
    if (this.#isStale) this.reload()
    return result
  }

  /** Loads again, as if a file had changed: what SIGHUP asks for. */
  reload(): void {
    if (this.#isClosed) return
    this.#isStale = true
    if (!this.#isLoading) void this.#loadUntilFresh()
  }

  /** Stops watching. No call of `onLoad` follows. */
  close(): void {
    this.#isClosed = true
    this.#files.close()
    this.#resolver.close()
  }

  async #loadUntilFresh(): Promise<void> {
    this.#isLoading = true
    while (this.#isStale && !this.#isClosed) {
      this.#isStale = false
      const result = await this.#load()
      if (!this.#isClosed) this.#ports.onLoad(result)
    }
    this.#isLoading = false
  }

  async #load(): Promise<LoadResult> {
    this.#isStale = false
    const loaded = loadDocuments(this.#source, this.#ports.env)
    const names = dnsNames(loaded.documents)
    // Until it is known that the new documents are good, the names of the snapshot in force are wanted too.
    await this.#resolver.follow([...(this.#good === undefined ? [] : dnsNames(this.#good.documents)), ...names])
    const result = this.#snapshotOf(loaded)
    if (result.ok) {
      this.#good = loaded
      await this.#resolver.follow(names)
    }
    return result
  }

  #onAddresses(): void {
    // A load in progress sees the new addresses by itself, or is followed by this.
    if (this.#isClosed || this.#good === undefined) return
    const result = this.#snapshotOf(this.#good)
    this.#ports.onLoad(result)
  }

  #snapshotOf(loaded: Documents): LoadResult {
    const result = snapshotOf(loaded, { ...this.#ports, wallMs: this.#ports.clock.wallMs }, (name) =>
      this.#resolver.addresses(name),
    )
    this.#files.watch([this.#source, ...result.files])
    return result
  }
}
