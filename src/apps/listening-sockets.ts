import { readFileSync, readlinkSync } from 'node:fs'

/** Where a socket listens. */
export interface SocketAddress {
  readonly address: string
  readonly port: number
}

/** What is read of the system's files; for tests. */
export interface ProcFiles {
  /** Text of a file, '' when there is none. */
  read(path: string): string
  /** What a descriptor of this process leads to, '' when it is not open. */
  linkOf(fd: number): string
}

const listenState = '0A'

const realFiles: ProcFiles = {
  read: (path) => orEmpty(() => readFileSync(path, 'latin1')),
  linkOf: (fd) => orEmpty(() => readlinkSync(`/proc/self/fd/${fd}`)),
}

/**
 * The listening TCP sockets of this process at this moment: where a descriptor listens, undefined for one that does
 * not. Read from /proc (proc_pid_net(5)); without it nothing is known of any descriptor.
 */
export function readListeningSockets(files: ProcFiles = realFiles): (fd: number) => SocketAddress | undefined {
  const byInode = new Map<string, SocketAddress>()
  for (const path of ['/proc/self/net/tcp', '/proc/self/net/tcp6']) {
    for (const line of files.read(path).split('\n').slice(1)) {
      // sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode
      const fields = line.trim().split(/\s+/)
      const [hex = '', port = ''] = (fields[1] ?? '').split(':')
      const inode = fields[9]
      if (fields[3] !== listenState || inode === undefined) continue
      byInode.set(inode, { address: addressText(hex), port: Number.parseInt(port, 16) })
    }
  }
  return (fd) => byInode.get(/^socket:\[(\d+)\]$/.exec(files.linkOf(fd))?.[1] ?? '')
}

/** The kernel prints addresses as 32-bit words of this machine: little-endian wherever Node runs. */
function addressText(hex: string): string {
  const bytes = Buffer.from(hex, 'hex').swap32()
  if (bytes.length === 4) return bytes.join('.')
  const groups = Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(at * 2).toString(16))
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)
}

function orEmpty(read: () => string): string {
  try {
    return read()
  } catch {
    return ''
  }
}
