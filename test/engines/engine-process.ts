import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

/** A real model server running as a child process on 127.0.0.1. */
export interface RunningEngine {
  /** `http://127.0.0.1:PORT`, without trailing slash. */
  readonly url: string
  readonly pid: number
  /** The last 16 KiB of what it printed. */
  log(): string
  /** Ends it (SIGTERM, after 10 s SIGKILL) and waits until it is gone. */
  close(): Promise<void>
}

export interface EngineCommand {
  readonly program: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Finds the address in what the process printed to standard output; undefined until it is there. */
  readonly urlFromLog: (log: string) => string | undefined
  readonly startLimitMs: number
}

const logChars = 16_384
const killAfterMs = 10_000

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

async function end(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return
  const closed = once(child, 'close')
  child.kill('SIGTERM')
  const forced = setTimeout(() => child.kill('SIGKILL'), killAfterMs)
  await closed
  clearTimeout(forced)
}

async function isHealthy(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/health`, { signal: AbortSignal.timeout(2000) })
    await response.arrayBuffer()
    return response.ok
  } catch {
    return false
  }
}

/** Starts an engine and waits until its /health answers 200. Throws, with its log, when it dies or takes too long. */
export async function startEngine(command: EngineCommand): Promise<RunningEngine> {
  const child = spawn(command.program, command.args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...command.env },
  })
  let log = ''
  // Apart from the log: there, what goes to standard error may stand in the middle of a line of standard output.
  let printed = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-logChars)
      if (stream === child.stdout) printed = (printed + text).slice(-logChars)
    })
  }
  const spawned: { failure?: Error } = {}
  child.once('error', (error) => {
    spawned.failure = error
  })
  const deadline = performance.now() + command.startLimitMs
  let url: string | undefined
  while (!spawned.failure && !hasEnded(child) && performance.now() < deadline) {
    url ??= command.urlFromLog(printed)
    if (url !== undefined && child.pid !== undefined && (await isHealthy(url))) {
      return { url, pid: child.pid, log: () => log, close: () => end(child) }
    }
    await sleep(50)
  }
  if (!spawned.failure) await end(child)
  throw new Error(`${command.program} did not become healthy\n${log}`, { cause: spawned.failure })
}
