import { type ChildProcess, fork } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '#core/clock.ts'
import { Fault } from '#core/fault.ts'

/** What its process is asked. */
export type GatewayRequest = 'state' | 'close'

/** What its process says. */
export type GatewayEvent =
  | { readonly kind: 'started'; readonly port: number }
  | { readonly kind: 'state'; readonly cpuMs: number; readonly isReady: boolean }

/** A gateway in a process of its own. */
export interface LabGateway {
  /** Of its listener on 127.0.0.1. */
  readonly port: number
  /** CPU time that all its threads have used so far. */
  cpuMs(): Promise<number>
  /** Lets requests end, ends it, and returns its access log. */
  close(): Promise<string>
  /** Ends it at once. Does nothing after its end. */
  kill(): void
}

export interface LabGatewayPlan {
  /** As `serve` reads it. */
  readonly config: object
  /** Of its random choices. */
  readonly seed: number
  readonly clock: Clock
}

const readyLimitMs = 60_000
const closeLimitMs = 20_000
const readyPollMs = 20

/** What is kept of what it says on standard error. */
const keptErrorBytes = 65_536

/** Starts a gateway; resolves when it is ready, with the loads of all engines read. Rejects with a Fault that says why not. */
export async function startLabGateway(plan: LabGatewayPlan): Promise<LabGateway> {
  const gateway = new GatewayProcess(plan)
  try {
    await gateway.start()
  } catch (error) {
    gateway.kill()
    throw error
  }
  return gateway
}

class GatewayProcess implements LabGateway {
  readonly #clock: Clock
  readonly #folder = mkdtempSync(join(tmpdir(), 'infer-gateway-lab-'))
  readonly #child: ChildProcess
  readonly #ended: Promise<void>
  #errors = ''
  #port = 0

  constructor({ config, seed, clock }: LabGatewayPlan) {
    const file = join(this.#folder, 'gateway.yaml')
    writeFileSync(file, JSON.stringify(config))
    const access = openSync(this.#accessFile, 'a')
    this.#clock = clock
    this.#child = fork(new URL('./lab-gateway-process.ts', import.meta.url), [file, String(seed)], {
      stdio: ['ignore', access, 'pipe', 'ipc'],
    })
    closeSync(access)
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (this.#errors.length < keptErrorBytes) this.#errors += text
    })
    this.#ended = new Promise((resolve) => {
      this.#child.on('error', () => resolve())
      this.#child.once('exit', () => resolve())
    })
  }

  get port(): number {
    return this.#port
  }

  async start(): Promise<void> {
    const untilMs = this.#clock.nowMs() + readyLimitMs
    const started = await this.#answer('started')
    this.#port = started.port
    for (;;) {
      const { isReady } = await this.#ask()
      if (isReady) return
      if (this.#clock.nowMs() > untilMs) throw this.#fault('it was not ready in time')
      await new Promise<void>((resolve) => void this.#clock.after(readyPollMs, resolve))
    }
  }

  async cpuMs(): Promise<number> {
    const { cpuMs } = await this.#ask()
    return cpuMs
  }

  async close(): Promise<string> {
    this.#child.send('close' satisfies GatewayRequest)
    const timer = this.#clock.after(closeLimitMs, () => this.#child.kill('SIGKILL'))
    await this.#ended
    timer.cancel()
    const log = readFileSync(this.#accessFile, 'utf8')
    this.kill()
    return log
  }

  kill(): void {
    this.#child.kill('SIGKILL')
    rmSync(this.#folder, { recursive: true, force: true })
  }

  get #accessFile(): string {
    return join(this.#folder, 'access.jsonl')
  }

  #ask(): Promise<Extract<GatewayEvent, { readonly kind: 'state' }>> {
    const answer = this.#answer('state')
    this.#child.send('state' satisfies GatewayRequest)
    return answer
  }

  /** The next thing of a kind that it says. */
  #answer<Kind extends GatewayEvent['kind']>(kind: Kind): Promise<Extract<GatewayEvent, { readonly kind: Kind }>> {
    return new Promise((resolve, reject) => {
      const hear = (event: GatewayEvent): void => {
        if (event.kind !== kind) return
        this.#child.off('message', hear)
        resolve(event as Extract<GatewayEvent, { readonly kind: Kind }>)
      }
      this.#child.on('message', hear)
      void this.#ended.then(() => reject(this.#fault('it ended')))
    })
  }

  #fault(reason: string): Fault {
    return new Fault('self', `the gateway of the laboratory does not serve: ${reason}\n${this.#errors}`)
  }
}
