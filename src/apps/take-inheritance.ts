import { closeSync, writeSync } from 'node:fs'
import type { Snapshot } from '#config/snapshot.ts'
import type { Env } from '#config/substitute-env.ts'
import type { Clock } from '#core/clock.ts'
import type { ProcessLog } from '#observe/process-log.ts'
import { type DealtSockets, dealSockets, readInheritance } from './inherited-sockets.ts'
import { readListeningSockets } from './listening-sockets.ts'

/** Sockets that this process was given, each with its place. */
export interface TakenInheritance {
  readonly dealt: DealtSockets
  readonly readyFd: number | undefined
  readonly predecessorPid: number | undefined
}

const lookAgainMs = 500

/** Finds the sockets this process was given and what they are for; undefined when it was given none. */
export function takeInheritance(env: Env, snapshot: Snapshot, log: ProcessLog): TakenInheritance | undefined {
  const { from, sockets, readyFd, predecessorPid } = readInheritance(env, process.pid, readListeningSockets())
  if (from === 'nobody') return undefined
  const dealt = dealSockets(sockets, snapshot.listeners, snapshot.admin)
  for (const { fd, name, at } of dealt.unwanted) {
    const fields = { fd, name, address: at?.address, port: at?.port }
    if (from === 'service manager') {
      const hint = 'set FileDescriptorName to the name of a listener, or give a listener its address and port'
      log.warn(fields, `no listener is configured for a socket that the service manager handed over: ${hint}`)
      continue
    }
    log.info(fields, 'the configuration has no place for a socket of the process before: it is closed')
    closeSync(fd)
  }
  return { dealt, readyFd, predecessorPid }
}

/** Calls `gone` when the process before this one has ended; at once when there is none. */
export function whenPredecessorIsGone(clock: Clock, pid: number | undefined, gone: () => void): void {
  if (pid === undefined || process.ppid !== pid) return gone()
  clock.after(lookAgainMs, () => whenPredecessorIsGone(clock, pid, gone))
}

/** Tells the process before this one that it may go. */
export function sayReady(inheritance: TakenInheritance | undefined): void {
  if (inheritance?.readyFd === undefined) return
  try {
    writeSync(inheritance.readyFd, 'ready\n')
    closeSync(inheritance.readyFd)
  } catch {
    // It is gone already, and its sockets are here.
  }
}
