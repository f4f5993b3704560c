import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A process of a drill that is told what to do by messages and answers by messages. */
export class DrillProcess<Command extends object, Report extends { readonly kind: string }> {
  readonly #child: ChildProcess

  /** `file` lies in this folder. */
  constructor(file: string) {
    this.#child = fork(join(import.meta.dirname, file), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  tell(command: Command): void {
    this.#child.send(command)
  }

  /** The next report of that kind; rejects when the process ends without one. */
  async report<Kind extends Report['kind']>(kind: Kind): Promise<Extract<Report, { readonly kind: Kind }>> {
    for (;;) {
      const end = new AbortController()
      const ended = once(this.#child, 'exit', { signal: end.signal }).then(
        () => undefined,
        () => undefined,
      )
      const message = once(this.#child, 'message', { signal: end.signal }).then(
        ([report]) => report as Report,
        () => undefined,
      )
      const report = await Promise.race([message, ended])
      end.abort()
      if (report === undefined) throw new Error(`a process of the drill ended before it reported '${kind}'`)
      if (report.kind === kind) return report as Extract<Report, { readonly kind: Kind }>
    }
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exited
  }
}

/** Resident memory of a process, bytes. */
export function residentBytes(pid: number): number {
  const match = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(match?.[1] ?? 0) * 1024
}

/** CPU time a process has used so far in all its threads, milliseconds. */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  // utime and stime (proc(5)), in ticks of 10 ms.
  return (Number(fields[11]) + Number(fields[12])) * 10
}

/** Most descriptors a process started from here may open. */
export function descriptorLimit(): number {
  const match = /Max open files\s+\S+\s+(\d+|unlimited)/.exec(readFileSync('/proc/self/limits', 'utf8'))
  return match?.[1] === undefined || match[1] === 'unlimited' ? Number.POSITIVE_INFINITY : Number(match[1])
}

/**
 * Ends this process when it has nothing more to do, without closing what is left: a socket that is reset in the step in
 * which it was ended is never closed by Node 24, whose own end then waits for it for ever. The gateway is another
 * process; what it keeps is counted.
 */
export function endWithoutCleanup(): void {
  process.once('beforeExit', () => process.exit())
}
