/** Child processes of a benchmark, ended by their own ids, and what /proc says about them. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { constants, setPriority } from 'node:os'

/** Of /proc/PID/stat: USER_HZ, which Linux fixes at 100 on x86 and arm64. */
const ticksPerSecond = 100
const pageBytes = 4096
const stopGraceMs = 8000
const realtimePriority = 10
const raisedNice = -10

export interface StartOptions {
  readonly name: string
  readonly command: readonly string[]
  readonly directory: string
  /** File that standard output is appended to. */
  readonly stdout: string
  /** File that standard error is appended to. */
  readonly stderr: string
}

/** A started program. `pid` stays the id of the program itself, also when it replaces itself by exec. */
export interface Program {
  readonly name: string
  readonly pid: number
  readonly stderr: string
  /** Why it is no longer running; undefined while it is. */
  ended(): string | undefined
}

/** Everything that was started and still runs; owns the processes and ends them. */
export class Processes {
  readonly #running = new Map<number, ChildProcess>()
  #isClosed = false

  /** Starts a program that runs until `stop`. */
  start(options: StartOptions): Program {
    const out = openSync(options.stdout, 'a')
    const err = openSync(options.stderr, 'a')
    let ended: string | undefined
    const child = this.#spawn(options.command, options.directory, ['ignore', out, err])
    closeSync(out)
    closeSync(err)
    child.once('exit', (code, signal) => (ended = `exit ${code ?? signal}`))
    child.once('error', (error) => (ended = error.message))
    const pid = child.pid
    if (pid === undefined) throw new Error(`${options.name}: ${options.command[0] ?? ''} cannot be started`)
    return { name: options.name, pid, stderr: options.stderr, ended: () => ended }
  }

  /** Runs a program to its end; its standard output. Rejects when it fails. */
  async run(command: readonly string[], directory: string): Promise<string> {
    const child = this.#spawn(command, directory, ['ignore', 'pipe', 'inherit'])
    let output = ''
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (output += text))
    const code = await new Promise<number | string | null>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (status, signal) => resolve(status ?? signal))
    })
    if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}`)
    return output
  }

  /** Asks a program to end, and kills it when it does not within eight seconds. */
  async stop(program: Program): Promise<void> {
    const child = this.#running.get(program.pid)
    if (child) await endChild(child)
  }

  /** Ends everything; nothing can be started from then on. */
  async stopAll(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#running.values()].map(endChild))
  }

  #spawn(
    command: readonly string[],
    directory: string,
    stdio: ('ignore' | 'pipe' | 'inherit' | number)[],
  ): ChildProcess {
    if (this.#isClosed) throw new Error('stopped')
    const [program = '', ...args] = command
    const child = spawn(program, args, { cwd: directory, stdio })
    const { pid } = child
    if (pid !== undefined) {
      this.#running.set(pid, child)
      child.once('exit', () => this.#running.delete(pid))
    }
    return child
  }
}

async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.kill('SIGTERM')
  const late = AbortSignal.timeout(stopGraceMs)
  late.addEventListener('abort', () => child.kill('SIGKILL'))
  await ended
}

/** The process and all that descend from it. */
export function treeOf(root: number): readonly number[] {
  const children = new Map<number, number[]>()
  for (const entry of readdirSync('/proc')) {
    const stat = /^\d+$/.test(entry) ? statOf(Number(entry)) : undefined
    const parent = Number(stat?.[1])
    if (stat) children.set(parent, [...(children.get(parent) ?? []), Number(entry)])
  }
  const tree = [root]
  for (const pid of tree) tree.push(...(children.get(pid) ?? []))
  return tree
}

/** CPU time used so far by the process and its descendants, threads included, in microseconds (steps of 10 ms). */
export function cpuUs(root: number): number {
  let ticks = 0
  // Fields 14 and 15 of proc(5) stat: utime and stime of all threads, those that have ended included.
  for (const pid of treeOf(root)) {
    const stat = statOf(pid)
    ticks += Number(stat?.[11] ?? 0) + Number(stat?.[12] ?? 0)
  }
  return (ticks / ticksPerSecond) * 1e6
}

/** CPU time of the running threads of one process by their names, in microseconds. */
export function threadCpuUs(pid: number): ReadonlyMap<string, number> {
  const times = new Map<string, number>()
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const text = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1')
    const name = text.slice(text.indexOf('(') + 1, text.lastIndexOf(')'))
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    const ticks = Number(fields[11]) + Number(fields[12])
    times.set(name, (times.get(name) ?? 0) + (ticks / ticksPerSecond) * 1e6)
  }
  return times
}

/** Resident memory of the process and its descendants, in bytes; pages they share are counted for each. */
export function residentBytes(root: number): number {
  return treeOf(root).reduce((sum, pid) => sum + Number(statOf(pid)?.[21] ?? 0) * pageBytes, 0)
}

/** The fields of /proc/PID/stat from the third on (the second, a name, may hold spaces); undefined when it is gone. */
function statOf(pid: number): readonly string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined
  }
}

/** Raises the priority of this process, which children inherit; whether that is permitted. */
export function raisePriority(): boolean {
  try {
    setPriority(raisedNice)
    return true
  } catch {
    return false
  }
}

/** Whether real-time scheduling can be had: without it, other programs on the machine show up in every latency. */
export function canRunRealtime(): boolean {
  return spawnSync('chrt', ['-f', String(realtimePriority), 'true'], { stdio: 'ignore' }).status === 0
}

/** The command under real-time scheduling (SCHED_FIFO). */
export function realtimeCommand(command: readonly string[]): readonly string[] {
  return ['chrt', '-f', String(realtimePriority), ...command]
}

/** Puts all threads of the process tree under real-time scheduling, or back under the normal one. */
export function setRealtime(root: number, isRealtime: boolean): void {
  for (const pid of treeOf(root)) {
    const how = isRealtime ? ['-f', '-a', '-p', String(realtimePriority)] : ['-o', '-a', '-p', '0']
    spawnSync('chrt', [...how, String(pid)], { stdio: 'ignore' })
  }
}

/** Exit code of a program ended by this signal, as shells report it. */
export function exitCodeOf(signal: 'SIGINT' | 'SIGTERM'): number {
  return 128 + constants.signals[signal]
}
