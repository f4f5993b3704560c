import type { AdminPlan, ListenerPlan } from '#config/snapshot.ts'
import type { Env } from '#config/substitute-env.ts'
import type { SocketAddress } from './listening-sockets.ts'

/** Variable by which a gateway tells its successor which descriptors it hands over. */
export const handoverVariable = 'INFER_GATEWAY_LISTEN'

/** A listening socket that this process has been given, or gives to its successor. */
export interface GivenSocket {
  readonly fd: number
  readonly kind: 'listener' | 'admin' | 'unknown'
  /** Name of the listener, or what the service manager calls it; '' when it has none. */
  readonly name: string
  /** Undefined when the system does not say. */
  readonly at: SocketAddress | undefined
}

/** All that this process has been given. */
export interface Inheritance {
  readonly from: 'nobody' | 'predecessor' | 'service manager'
  readonly sockets: readonly GivenSocket[]
  /** Descriptor to which a line is written when this process serves; undefined when nobody waits. */
  readonly readyFd: number | undefined
  /** The process that serves until then. */
  readonly predecessorPid: number | undefined
}

/** The inherited descriptors, each with the place where it is wanted. */
export interface DealtSockets {
  /** By name of the listener. */
  readonly listeners: ReadonlyMap<string, readonly number[]>
  readonly adminFd: number | undefined
  /** What nothing in the configuration wants. */
  readonly unwanted: readonly GivenSocket[]
}

const firstFd = 3
const nobody: Inheritance = { from: 'nobody', sockets: [], readyFd: undefined, predecessorPid: undefined }

/**
 * Reads from the environment what this process has been given: by the gateway before it, or by a service manager
 * (sd_listen_fds(3)). `addressOf` says where a descriptor listens.
 */
export function readInheritance(
  env: Env,
  pid: number,
  addressOf: (fd: number) => SocketAddress | undefined,
): Inheritance {
  const text = env[handoverVariable]
  if (text !== undefined && text !== '') return parseHandover(text)
  const count = Number(env.LISTEN_FDS)
  if (Number(env.LISTEN_PID) !== pid || !(count > 0 && count <= 1024)) return nobody
  const names = (env.LISTEN_FDNAMES ?? '').split(':')
  const sockets = Array.from({ length: count }, (_, at): GivenSocket => {
    const fd = firstFd + at
    return { fd, kind: 'unknown', name: names[at] ?? '', at: addressOf(fd) }
  })
  return { from: 'service manager', sockets, readyFd: undefined, predecessorPid: undefined }
}

/** The value of `handoverVariable` for these sockets, given by the process `pid`. */
export function handoverText(pid: number, readyFd: number, sockets: readonly GivenSocket[]): string {
  return JSON.stringify({
    pid,
    ready: readyFd,
    sockets: sockets.map(({ fd, kind, name, at }) => [fd, kind, name, at?.address ?? '', at?.port ?? 0]),
  })
}

function parseHandover(text: string): Inheritance {
  let value: { readonly pid?: unknown; readonly ready?: unknown; readonly sockets?: unknown } | null
  try {
    value = JSON.parse(text) as typeof value
  } catch {
    return nobody
  }
  const rows = Array.isArray(value?.sockets) ? (value.sockets as unknown[]) : []
  const sockets = rows.flatMap((row): GivenSocket[] => {
    if (!Array.isArray(row)) return []
    const [fd, kind, name, address, port] = row as unknown[]
    if (!Number.isInteger(fd) || (kind !== 'listener' && kind !== 'admin')) return []
    return [{ fd: Number(fd), kind, name: String(name), at: { address: String(address), port: Number(port) } }]
  })
  return { from: 'predecessor', sockets, readyFd: wholeNumber(value?.ready), predecessorPid: wholeNumber(value?.pid) }
}

function wholeNumber(value: unknown): number | undefined {
  return Number.isInteger(value) ? Number(value) : undefined
}

/** Finds out which listener, or the admin server, each descriptor is for: by its name, else by its address and port. */
export function dealSockets(
  sockets: readonly GivenSocket[],
  plans: readonly ListenerPlan[],
  admin: AdminPlan,
): DealtSockets {
  const listeners = new Map<string, number[]>()
  const unwanted: GivenSocket[] = []
  let adminFd: number | undefined
  for (const socket of sockets) {
    const plan = socket.kind === 'admin' ? undefined : plans.find((each) => isFor(socket, each))
    if (plan !== undefined) listeners.set(plan.name, [...(listeners.get(plan.name) ?? []), socket.fd])
    else if (adminFd === undefined && isForAdmin(socket, admin)) adminFd = socket.fd
    else unwanted.push(socket)
  }
  return { listeners, adminFd, unwanted }
}

function isForAdmin(socket: GivenSocket, admin: AdminPlan): boolean {
  if (socket.kind === 'listener') return false
  if (socket.kind === 'unknown' && socket.name === 'admin') return true
  return isAt(socket, admin) || (socket.kind === 'admin' && admin.port === 0)
}

/**
 * A service manager's name for a socket decides alone. A predecessor's does not: its listener of that name may have had
 * another address, but for a port that the system chooses.
 */
function isFor(socket: GivenSocket, plan: ListenerPlan): boolean {
  if (socket.kind === 'unknown' && socket.name === plan.name) return true
  if (plan.port === 0) return socket.kind === 'listener' && socket.name === plan.name
  return isAt(socket, plan)
}

function isAt({ at }: GivenSocket, plan: { readonly address: string; readonly port: number }): boolean {
  if (at === undefined || at.port !== plan.port) return false
  return plainAddress(at.address) === plainAddress(plan.address)
}

/** One spelling for each address. The two wildcards count as one: a socket of `::` takes IPv4 as well. */
function plainAddress(address: string): string {
  if (address === '0.0.0.0' || address === '::') return '*'
  if (!address.includes(':')) return address
  const url = `http://[${address}]`
  return URL.canParse(url) ? new URL(url).hostname.slice(1, -1) : address
}
