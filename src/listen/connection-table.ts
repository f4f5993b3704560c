import type { OpenConnection } from './open-connection.ts'

/** The open connections of a listener, and how many each client has. Bounded by the limits of the listener. */
export class ConnectionTable {
  readonly #clients = new Map<OpenConnection, string>()
  readonly #counts = new Map<string, number>()

  /** Connections now open. */
  get size(): number {
    return this.#clients.size
  }

  /** Clients with an open connection. */
  get clients(): number {
    return this.#counts.size
  }

  /** Connections that `client` (see `clientOf`) has. */
  countOf(client: string): number {
    return this.#counts.get(client) ?? 0
  }

  /** Adds a connection; `client` is undefined as long as it is not known. */
  add(connection: OpenConnection, client: string | undefined): void {
    this.#clients.set(connection, client ?? '')
    if (client !== undefined) this.#counts.set(client, this.countOf(client) + 1)
  }

  /** `next` goes on where `connection` ends, for the same client. */
  replace(connection: OpenConnection, next: OpenConnection): void {
    const client = this.#clients.get(connection)
    if (client === undefined) return
    this.#clients.delete(connection)
    this.#clients.set(next, client)
  }

  /** Takes a connection out; false when it is not in there. */
  delete(connection: OpenConnection): boolean {
    const client = this.#clients.get(connection)
    if (client === undefined) return false
    this.#clients.delete(connection)
    const count = this.countOf(client)
    if (count > 1) this.#counts.set(client, count - 1)
    else this.#counts.delete(client)
    return true
  }

  /** The connections, oldest state first; entries may be deleted while they are read. */
  connections(): IterableIterator<OpenConnection> {
    return this.#clients.keys()
  }
}

/**
 * Who counts as one client: an IPv4 address, also where IPv6 carries it, and of an IPv6 address the network of 64 bits,
 * because a host can take any address in its network.
 */
export function clientOf(address: string): string {
  if (!address.includes(':')) return address
  if (address.includes('.')) return address.slice(address.lastIndexOf(':') + 1)
  const [left = '', right = ''] = address.split('::', 2)
  const head = left === '' ? [] : left.split(':')
  if (!address.includes('::')) return head.slice(0, 4).join(':')
  const tail = right === '' ? 0 : right.split(':').length
  while (head.length + tail < 8) head.push('0')
  return [...head, ...right.split(':')].slice(0, 4).join(':')
}
