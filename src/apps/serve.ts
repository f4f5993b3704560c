import { fileURLToPath } from 'node:url'
import type { ConfigProblem } from '#config/problem.ts'
import { renderProblems } from '#config/render-problems.ts'
import type { LoadResult } from '#controller/load-snapshot.ts'
import { SnapshotWatch } from '#controller/snapshot-watch.ts'
import { systemClock } from '#core/clock.ts'
import { createProcessLog, type ProcessLog } from '#observe/process-log.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { plugins } from '#plugins/index.ts'
import { renderBanner } from './banner.ts'
import { Gateway } from './gateway.ts'
import { quickstartFile, startQuickstartFleet } from './quickstart.ts'

/** What `infer-gateway serve` is run with. */
export interface ServeOptions {
  /** File or directory; undefined runs the quick start. */
  readonly config: string | undefined
  readonly version: string
  readonly env: Readonly<Record<string, string | undefined>>
}

/** Runs a gateway until a signal ends it; resolves with the exit code. */
export async function serve(options: ServeOptions): Promise<number> {
  const following = new Following()
  const watch = new SnapshotWatch(options.config ?? fileURLToPath(quickstartFile), {
    env: options.env,
    plugins,
    defaultProfile,
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
  const log = createProcessLog({ level: loaded.snapshot.logging.level, pretty: process.stderr.isTTY })
  const { version } = options
  const gateway = new Gateway({
    version,
    snapshot: { ...loaded.snapshot, version: 1 },
    log,
    accessFd: process.stdout.fd,
    seed: process.pid,
  })
  let stopFleet: (() => Promise<void>) | undefined
  try {
    stopFleet = options.config === undefined ? await startQuickstartFleet() : undefined
    await gateway.start()
  } catch (caught) {
    process.stderr.write(`infer-gateway: ${caught instanceof Error ? caught.message : String(caught)}\n`)
    watch.close()
    await stopFleet?.()
    return 1
  }
  following.begin(gateway, log, loaded.warnings)
  process.stderr.write(renderBanner(gateway, version))
  const code = await untilStopped(gateway, log)
  watch.close()
  await gateway.close()
  await stopFleet?.()
  return code
}

/** Takes what the watch loads to the gateway, once there is one. */
class Following {
  #gateway: Gateway | undefined = undefined
  #log: ProcessLog | undefined = undefined
  #early: LoadResult | undefined = undefined

  begin(gateway: Gateway, log: ProcessLog, warnings: readonly ConfigProblem[]): void {
    this.#gateway = gateway
    this.#log = log
    this.#warn(warnings)
    if (this.#early !== undefined) this.loaded(this.#early)
  }

  loaded(result: LoadResult): void {
    if (this.#gateway === undefined) {
      this.#early = result
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

/** Waits for a signal, then drains; a second signal ends the wait. */
async function untilStopped(gateway: Gateway, log: ProcessLog): Promise<number> {
  const first = await nextSignal()
  log.info({ signal: first }, 'stopping: requests under way may finish; a second signal ends at once')
  const outcome = await Promise.race([gateway.drain().then(() => 'drained' as const), nextSignal()])
  if (outcome === 'drained') return 0
  log.warn({ signal: outcome }, 'ending at once')
  return 130
}

function nextSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const stop = (signal: NodeJS.Signals): void => {
      process.off('SIGINT', stop)
      process.off('SIGTERM', stop)
      resolve(signal)
    }
    process.on('SIGINT', stop)
    process.on('SIGTERM', stop)
  })
}
