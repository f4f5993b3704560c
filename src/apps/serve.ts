import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { ConfigProblem } from '#config/problem.ts'
import { renderProblems } from '#config/render-problems.ts'
import type { LoadResult } from '#controller/load-snapshot.ts'
import { SnapshotWatch } from '#controller/snapshot-watch.ts'
import { systemClock } from '#core/clock.ts'
import { createProcessLog, type ProcessLog } from '#observe/process-log.ts'
import { builtInProfiles } from '#plugins/built-in-profiles.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { plugins } from '#plugins/index.ts'
import { renderBanner } from './banner.ts'
import { Gateway } from './gateway.ts'
import { removePidFile, writePidFile } from './pid-file.ts'
import { quickstartFile, startQuickstartFleet } from './quickstart.ts'
import { runUntilStopped } from './run-until-stopped.ts'
import { sayReady, takeInheritance, whenPredecessorIsGone } from './take-inheritance.ts'

/** What `infer-gateway serve` is run with. */
export interface ServeOptions {
  /** File or directory; undefined runs the quick start. */
  readonly config: string | undefined
  /** Number of data threads; undefined leaves it to the configuration. */
  readonly threads: number | undefined
  /** File that names the process which serves. */
  readonly pidFile: string | undefined
  readonly version: string
  readonly env: Readonly<Record<string, string | undefined>>
}

/** What configurations may name without saying it. */
const shipped = { plugins, defaultProfile, builtInProfiles }

/** Runs a gateway until a signal ends it, or another takes its place; resolves with the exit code. */
export async function serve(options: ServeOptions): Promise<number> {
  // By default it ends a process: one that is asked to be replaced before it serves only has nothing to hand over.
  process.on('SIGUSR2', () => {})
  const following = new Following()
  const watch = new SnapshotWatch(options.config ?? fileURLToPath(quickstartFile), {
    env: options.env,
    ...shipped,
    clock: systemClock(),
    onLoad: (result) => following.loaded(result),
    onLookupFailure: (name, error) => following.lookupFailed(name, error),
  })
  const loaded = await watch.start()
  if (!loaded.ok) {
    watch.close()
    process.stderr.write(`${renderProblems(loaded.problems, { color: process.stderr.isTTY })}\n`)
    return 1
  }
  const snapshot = { ...loaded.snapshot, version: 1 }
  const log = createProcessLog({ level: snapshot.logging.level, pretty: process.stderr.isTTY })
  const { version, env, pidFile } = options
  const gateway = new Gateway({
    version,
    snapshot,
    log,
    accessFd: process.stdout.fd,
    seed: process.pid,
    threads: options.threads ?? snapshot.threads ?? Math.max(1, availableParallelism() - 1),
  })
  let stopFleet: (() => Promise<void>) | undefined
  try {
    const inheritance = takeInheritance(env, snapshot, log)
    if (inheritance?.predecessorPid !== undefined) {
      gateway.shareOutput(true)
      whenPredecessorIsGone(systemClock(), inheritance.predecessorPid, () => gateway.shareOutput(false))
    }
    stopFleet = options.config === undefined ? await startQuickstartFleet() : undefined
    await (inheritance === undefined ? gateway.start() : gateway.takeOver(inheritance.dealt))
    if (pidFile !== undefined) writePidFile(pidFile, process.pid)
    sayReady(inheritance)
  } catch (caught) {
    process.stderr.write(`infer-gateway: ${caught instanceof Error ? caught.message : String(caught)}\n`)
    watch.close()
    await gateway.close()
    await stopFleet?.()
    return 1
  }
  following.begin(gateway, log, loaded.warnings)
  process.stderr.write(renderBanner(gateway, version))
  const code = await runUntilStopped(gateway, {
    log,
    env,
    mayBeReplaced: options.config !== undefined,
    hold: (isHeld) => following.hold(isHeld),
    stopping: () => watch.close(),
  })
  await gateway.close()
  await stopFleet?.()
  if (pidFile !== undefined) removePidFile(pidFile, process.pid)
  return code
}

/** Takes what the watch loads to the gateway, once there is one. */
class Following {
  #gateway: Gateway | undefined = undefined
  #log: ProcessLog | undefined = undefined
  #isHeld = true
  #waiting: LoadResult | undefined = undefined

  begin(gateway: Gateway, log: ProcessLog, warnings: readonly ConfigProblem[]): void {
    this.#gateway = gateway
    this.#log = log
    this.#warn(warnings)
    this.hold(false)
  }

  /** What is loaded while changes are held is taken over when they are not any more: the last of it. */
  hold(isHeld: boolean): void {
    this.#isHeld = isHeld
    const waiting = this.#waiting
    if (isHeld || waiting === undefined) return
    this.#waiting = undefined
    this.loaded(waiting)
  }

  loaded(result: LoadResult): void {
    if (this.#gateway === undefined || this.#isHeld) {
      this.#waiting = result
      return
    }
    this.#warn(result.warnings)
    if (result.ok) void this.#gateway.apply(result.snapshot)
    else
      this.#gateway.rejected(
        result.problems.map((problem) => ({ file: problem.file, line: problem.line, message: oneLine(problem) })),
      )
  }

  lookupFailed(name: string, error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error)
    this.#log?.warn({ name, reason }, 'a DNS name cannot be looked up; its last known addresses stay')
  }

  #warn(warnings: readonly ConfigProblem[]): void {
    for (const warning of warnings) this.#log?.warn({ file: warning.file, line: warning.line }, oneLine(warning))
  }
}

/** A problem in one line, as in logs: where in the document, what is wrong, what to do. */
function oneLine({ path, message, hint }: ConfigProblem): string {
  return `${path === '' ? '' : `${path}: `}${message}${hint === undefined ? '' : `; ${hint}`}`
}
