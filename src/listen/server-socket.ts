import type { ListenOptions, Server } from 'node:net'

/** Where a listener gets its sockets from. */
export interface ListenPlace {
  /** Inherited descriptors that listen already: they are adopted, and belong to the listener from then on. */
  readonly fds?: readonly number[]
  /** Instead of the plan's, when that leaves it to the system and another thread has chosen. */
  readonly port?: number
}

/**
 * Sockets of one listener in one thread. Node accepts one connection of a socket in a turn of the event loop, so that a
 * busy thread, whose turns take 2 ms, needs 6.5 to 7 s for 2,000 connections that come at once on one socket, 1.5 to
 * 1.9 s on four, 1.1 s on eight; an idle one half a second in any case.
 */
const socketsPerListener = 4

const backlog = 4096
const unsupported: ReadonlySet<string | undefined> = new Set(['ENOTSUP', 'EOPNOTSUPP', 'ENOPROTOOPT', 'EINVAL'])

/**
 * Opens the sockets of a listener, or adopts descriptors. Several threads, and the gateway that takes over from this
 * one, may share address and port (`reusePort`) where the system can; where it cannot, one socket is all there is. The
 * servers opened so far are in `servers` also when it rejects, with the system's error. Resolves with the port.
 */
export async function openServers(
  servers: Server[],
  create: () => Server,
  address: string,
  { fds = [], port }: ListenPlace,
): Promise<number> {
  const open = async (options: ListenOptions & { readonly fd?: number }): Promise<number> => {
    const server = create()
    await listening(server, { backlog, exclusive: true, ...options })
    server.on('error', () => {})
    servers.push(server)
    const bound = server.address()
    return typeof bound === 'object' && bound !== null ? bound.port : 0
  }
  let chosen = port ?? 0
  for (const fd of fds) chosen = await open({ fd })
  if (fds.length > 0) return chosen
  try {
    while (servers.length < socketsPerListener) chosen = await open({ host: address, port: chosen, reusePort: true })
    return chosen
  } catch (error) {
    if (!unsupported.has((error as NodeJS.ErrnoException).code)) throw error
    return open({ host: address, port: chosen })
  }
}

/** Number of a server's descriptor in this process; -1 when it is closed. */
export function descriptorOf(server: Server): number {
  return (server as unknown as { readonly _handle: { readonly fd: number } | null })._handle?.fd ?? -1
}

function listening(server: Server, options: ListenOptions & { readonly fd?: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    // As an argument: among the options, the backlog of a descriptor is not looked at.
    server.listen(options, backlog, () => {
      server.off('error', reject)
      resolve()
    })
  })
}
