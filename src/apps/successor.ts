import { type StdioOptions, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import type { Readable } from 'node:stream'
import type { Env } from '#config/substitute-env.ts'
import type { Clock } from '#core/clock.ts'
import { Fault } from '#core/fault.ts'
import { type GivenSocket, handoverText, handoverVariable } from './inherited-sockets.ts'

/** How the next gateway is started. */
export interface SuccessorPlan {
  /** Program and arguments: those of this process. */
  readonly command: readonly [string, ...string[]]
  readonly env: Env
  /** Listening descriptors of this process; the successor gets each of them. */
  readonly sockets: readonly GivenSocket[]
  readonly clock: Clock
}

/** A gateway that is being started to serve in place of this one. */
export interface Successor {
  readonly pid: number
  /** Resolves when it serves; rejects with a Fault that says why it does not, when it has been ended. */
  readonly ready: Promise<void>
  /** Ends it. For one that does not serve yet. */
  giveUp(): void
}

const readyLimitMs = 60_000
/** Standard input, output and error come first, then the pipe of the ready line, then the sockets. */
const readyFd = 3
const firstSocketFd = 4

/** Starts the next gateway. It shares this one's sockets, output and environment, and lives on when this one ends. */
export function startSuccessor({ command, env, sockets, clock }: SuccessorPlan): Successor {
  const [program, ...args] = command
  const { LISTEN_PID: _pid, LISTEN_FDS: _fds, LISTEN_FDNAMES: _names, ...rest } = env
  const handed = sockets.map((socket, at) => ({ ...socket, fd: firstSocketFd + at }))
  const emptyFd = openSync('/dev/null', 'r')
  const child = spawn(program, args, {
    env: { ...rest, [handoverVariable]: handoverText(process.pid, readyFd, handed) },
    stdio: ['inherit', 'inherit', 'inherit', 'pipe', ...descriptors(sockets, emptyFd)],
  })
  closeSync(emptyFd)
  const giveUp = (): void => void child.kill('SIGTERM')
  const ready = new Promise<void>((resolve, reject) => {
    const fail = (reason: string): void => {
      timer.cancel()
      child.kill('SIGKILL')
      reject(new Fault('self', reason))
    }
    const timer = clock.after(readyLimitMs, () => fail(`it was not ready within ${readyLimitMs / 1000} s`))
    child.once('error', (error) => fail(`it cannot be started: ${error.message}`))
    child.once('exit', (code, signal) => fail(`it ended with ${signal ?? `exit code ${code}`}`))
    const pipe = child.stdio[readyFd] as Readable | null | undefined
    pipe?.on('error', () => {})
    pipe?.once('data', () => {
      timer.cancel()
      child.removeAllListeners()
      pipe.destroy()
      child.unref()
      resolve()
    })
  })
  return { pid: child.pid ?? 0, ready, giveUp }
}

/**
 * Descriptors that this process inherited itself pass through an exec. Those that are not handed over are covered, or
 * they would stay open in the successor and take connections that nobody accepts.
 */
function descriptors(sockets: readonly GivenSocket[], emptyFd: number): Exclude<StdioOptions, string>[number][] {
  const highest = sockets.reduce((most, { fd }) => Math.max(most, fd), 0)
  const uncovered = Math.max(0, highest + 1 - firstSocketFd - sockets.length)
  return [...sockets.map(({ fd }) => fd), ...Array.from({ length: uncovered }, () => emptyFd)]
}
