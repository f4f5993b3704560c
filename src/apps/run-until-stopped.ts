import type { Env } from '#config/substitute-env.ts'
import { systemClock } from '#core/clock.ts'
import type { ProcessLog } from '#observe/process-log.ts'
import type { Gateway } from './gateway.ts'
import type { GivenSocket } from './inherited-sockets.ts'
import { readListeningSockets } from './listening-sockets.ts'
import { startSuccessor } from './successor.ts'

/** What waiting for signals needs. */
export interface RunPorts {
  readonly log: ProcessLog
  readonly env: Env
  /** Whether SIGUSR2 may start another process in the place of this one. */
  readonly mayBeReplaced: boolean
  /** Whether changes of the configuration wait: two processes must not both open what it adds. */
  readonly hold: (isHeld: boolean) => void
  /** The end has begun: nothing new is loaded. */
  readonly stopping: () => void
}

type StopSignal = 'SIGINT' | 'SIGTERM'

/**
 * Runs until SIGTERM or SIGINT, then drains; a second one ends at once. SIGUSR2 starts another gateway that takes over
 * the sockets, and drains when it serves. Resolves with the exit code.
 */
export async function runUntilStopped(gateway: Gateway, ports: RunPorts): Promise<number> {
  const { log } = ports
  const first = new Promise<StopSignal | 'replaced'>((resolve) => {
    const replacement = new Replacement(gateway, ports, () => resolve('replaced'))
    const stop = (signal: NodeJS.Signals): void => {
      process.off('SIGINT', stop)
      process.off('SIGTERM', stop)
      replacement.giveUp()
      resolve(signal as StopSignal)
    }
    process.on('SIGINT', stop)
    process.on('SIGTERM', stop)
    process.on('SIGUSR2', () => replacement.begin())
  })
  const reason = await first
  ports.stopping()
  if (reason === 'replaced') log.info({}, 'another process serves: requests under way here may finish')
  else log.info({ signal: reason }, 'stopping: requests under way may finish; a second signal ends at once')
  const drain = reason === 'replaced' ? gateway.drainForSuccessor() : gateway.drain()
  const outcome = await Promise.race([drain.then(() => 'drained' as const), nextStop()])
  if (outcome === 'drained') return 0
  log.warn({ signal: outcome }, 'ending at once')
  return 130
}

function nextStop(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    process.once('SIGINT', resolve)
    process.once('SIGTERM', resolve)
  })
}

/** Starts another gateway in the place of this one, one at a time. */
class Replacement {
  readonly #gateway: Gateway
  readonly #ports: RunPorts
  readonly #done: () => void
  #giveUp: (() => void) | undefined
  #ended = false

  constructor(gateway: Gateway, ports: RunPorts, done: () => void) {
    this.#gateway = gateway
    this.#ports = ports
    this.#done = done
  }

  /** The process is to end in another way. */
  giveUp(): void {
    this.#ended = true
    this.#giveUp?.()
  }

  begin(): void {
    const { log } = this.#ports
    const problem = this.#problem()
    if (problem !== undefined) return log.warn({ signal: 'SIGUSR2' }, `no other process is started: ${problem}`)
    void this.#replace()
  }

  #problem(): string | undefined {
    if (this.#ended) return 'this one is ending'
    if (this.#giveUp !== undefined) return 'one is being started'
    if (!this.#ports.mayBeReplaced) return 'the quick start cannot be replaced; give it a configuration with -c'
    // The first process of a container takes the container with it when it ends.
    if (process.pid === 1) return 'this is process 1, and the container ends with it; replace the container'
    return undefined
  }

  async #replace(): Promise<void> {
    const { log, env, hold } = this.#ports
    hold(true)
    this.#giveUp = () => {}
    this.#gateway.shareOutput(true)
    try {
      await this.#gateway.applied()
      if (this.#ended) return
      const successor = startSuccessor({
        command: [process.execPath, ...process.execArgv, ...process.argv.slice(1)],
        env,
        sockets: stillListening(this.#gateway.sockets),
        clock: systemClock(),
      })
      this.#giveUp = successor.giveUp
      log.info({ pid: successor.pid }, 'starting another process that takes over the listening sockets')
      await successor.ready
      if (this.#ended) return
      this.#ended = true
      this.#done()
    } catch (caught) {
      const reason = caught instanceof Error ? caught.message : String(caught)
      this.#gateway.shareOutput(false)
      hold(false)
      if (!this.#ended) log.error({ reason }, `the other process did not take over, this one goes on: ${reason}`)
    } finally {
      this.#giveUp = undefined
    }
  }
}

/** A thread may have died a moment ago: its descriptors mean something else by now. Without /proc nobody can tell. */
function stillListening(sockets: readonly GivenSocket[]): readonly GivenSocket[] {
  const addressOf = readListeningSockets()
  const open = sockets.filter(({ fd, at }) => addressOf(fd)?.port === at?.port)
  return open.length > 0 ? open : sockets
}
