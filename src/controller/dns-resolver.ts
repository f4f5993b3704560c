import { lookup } from 'node:dns/promises'
import type { Clock, Timer } from '#core/clock.ts'
import { type DnsName, maxDnsNames } from './dns-names.ts'

/** The A and AAAA addresses of a name, as the system resolves it (hosts file included). Rejects when there are none. */
export async function systemLookup(name: string): Promise<readonly string[]> {
  const found = await lookup(name, { all: true })
  return found.map(({ address }) => address)
}

/** Most addresses of one name that become endpoints. */
const maxAddresses = 1024

/** What the resolver needs from outside. */
export interface DnsPorts {
  readonly clock: Clock
  readonly lookup: (name: string) => Promise<readonly string[]>
  /** Called when a name has other addresses than before. */
  readonly onChange: () => void
  /** Called when a look-up fails; the last known addresses stay. */
  readonly onFailure?: (name: string, error: unknown) => void
}

interface Entry {
  addresses: readonly string[]
  intervalMs: number
  timer: Timer | undefined
}

/**
 * Looks names up again and again and remembers their addresses. A name that fails keeps what it had: endpoints do not
 * go because a DNS server does. One look-up per name at a time.
 */
export class DnsResolver {
  readonly #ports: DnsPorts
  readonly #entries = new Map<string, Entry>()
  #isClosed = false

  constructor(ports: DnsPorts) {
    this.#ports = ports
  }

  /** Addresses a name had last, sorted; empty when it is unknown. */
  addresses(name: string): readonly string[] {
    return this.#entries.get(name)?.addresses ?? []
  }

  /** Follows these names and no others. Resolves once every new one has been looked up. */
  async follow(names: readonly DnsName[]): Promise<void> {
    const wanted = new Map(names.slice(0, maxDnsNames).map(({ name, intervalMs }) => [name, intervalMs]))
    for (const [name, entry] of this.#entries) {
      if (wanted.has(name)) continue
      entry.timer?.cancel()
      this.#entries.delete(name)
    }
    const fresh: Promise<boolean>[] = []
    for (const [name, intervalMs] of wanted) {
      const known = this.#entries.get(name)
      if (known !== undefined) {
        known.intervalMs = intervalMs
        continue
      }
      const entry: Entry = { addresses: [], intervalMs, timer: undefined }
      this.#entries.set(name, entry)
      fresh.push(this.#resolve(name, entry))
    }
    await Promise.all(fresh)
  }

  /** Stops. No call of `onChange` follows. */
  close(): void {
    this.#isClosed = true
    for (const { timer } of this.#entries.values()) timer?.cancel()
    this.#entries.clear()
  }

  /** Looks a name up, and arranges for the next time. Resolves to whether its addresses have changed. Never rejects. */
  async #resolve(name: string, entry: Entry): Promise<boolean> {
    let isChanged = false
    try {
      const found = (await this.#ports.lookup(name)).toSorted().slice(0, maxAddresses)
      isChanged = found.length > 0 && found.join() !== entry.addresses.join()
      if (isChanged) entry.addresses = found
    } catch (error) {
      if (!this.#isClosed) this.#ports.onFailure?.(name, error)
    }
    if (this.#isClosed || this.#entries.get(name) !== entry) return false
    entry.timer = this.#ports.clock.after(entry.intervalMs, () => {
      void this.#resolve(name, entry).then((hasChanged) => {
        if (hasChanged) this.#ports.onChange()
      })
    })
    return isChanged
  }
}
