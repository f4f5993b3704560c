import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { StatusReport } from '#observe/status-report.ts'
import { MetricsPage } from './metrics.ts'
import { freePorts } from './ports.ts'
import { sleep, waitFor } from './wait.ts'

const root = join(import.meta.dirname, '..', '..', '..')

/** One line of the access log. */
export type AccessLine = Readonly<Record<string, string | number | boolean | undefined>>

/** A document of the short form. */
export type Config = Readonly<Record<string, unknown>>

/** Where a gateway's configuration lies. */
export interface StartOptions {
  /** Taken away when the gateway is closed; a new one unless given. */
  readonly directory?: string
  /** Serves everything in the directory instead of the one file. */
  readonly servesDirectory?: boolean
  /** Listeners beside the main one. */
  readonly moreListeners?: readonly Config[]
  /** Further options of `infer-gateway serve`. */
  readonly args?: readonly string[]
  /** Variables of its environment, beside those of this process. */
  readonly env?: Readonly<Record<string, string>>
  /** Faults of its own are what the test is about: its end is in order though they are in the log. */
  readonly mayFault?: boolean
  readonly onFailure?: () => Promise<unknown>
}

/** A gateway of its own process, on ports of 127.0.0.1 that nobody else uses. */
export class RunningGateway {
  /** Of the first listener. */
  readonly port: number
  readonly adminUrl: string
  readonly configFile: string
  /** Where files that the configuration names can be put. */
  readonly directory: string
  readonly #child: ChildProcess
  readonly #base: Config
  readonly #mayFault: boolean
  #stderr = ''
  #stdout = ''
  #lines: AccessLine[] = []

  private constructor(
    child: ChildProcess,
    place: { port: number; adminPort: number; directory: string; base: Config; mayFault: boolean },
  ) {
    this.#child = child
    this.port = place.port
    this.adminUrl = `http://127.0.0.1:${place.adminPort}`
    this.directory = place.directory
    this.configFile = join(place.directory, 'gateway.yaml')
    this.#base = place.base
    this.#mayFault = place.mayFault
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
    })
    child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#read(text))
  }

  /**
   * Starts `infer-gateway serve` on `config`, to which listener and admin server are added; resolves when it is ready.
   * What else was started for it is closed by `onFailure`, or a test file whose gateway fails would not end.
   */
  static async start(config: Config, options: StartOptions = {}): Promise<RunningGateway> {
    const {
      directory = mkdtempSync(join(tmpdir(), 'infer-gateway-e2e-')),
      servesDirectory = false,
      args: more = [],
      env = {},
      mayFault = false,
      onFailure,
    } = options
    const port = await freePorts.take()
    const adminPort = await freePorts.take()
    const base: Config = {
      listeners: [{ name: 'main', address: '127.0.0.1', port }, ...(options.moreListeners ?? [])],
      admin: { address: '127.0.0.1', port: adminPort },
    }
    const file = join(directory, 'gateway.yaml')
    writeFileSync(file, JSON.stringify({ ...base, ...config }, undefined, 2))
    const args = ['serve', '-c', servesDirectory ? directory : file, ...more]
    const child = spawn(join(root, 'bin', 'infer-gateway'), args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    })
    const gateway = new RunningGateway(child, { port, adminPort, directory, base, mayFault })
    try {
      await waitFor('ready gateway', () => gateway.#isReady(), 60_000)
    } catch (error) {
      child.kill('SIGKILL')
      await onFailure?.()
      throw new Error(`the gateway did not become ready\n${gateway.stderr}`, { cause: error })
    }
    return gateway
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** All that it wrote to standard error. */
  get stderr(): string {
    return this.#stderr
  }

  get hasExited(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  /** Access log so far. */
  get accessLines(): readonly AccessLine[] {
    return this.#lines
  }

  /** Lines of the process log (JSON) so far. */
  get logLines(): readonly AccessLine[] {
    const lines = this.#stderr.split('\n').filter((line) => line.startsWith('{'))
    return lines.map((line) => JSON.parse(line) as AccessLine)
  }

  /** The access log's line of one request, as soon as it is there. */
  accessLine(requestId: string): Promise<AccessLine> {
    const find = (): AccessLine | undefined => this.#lines.find((line) => line.request_id === requestId)
    return waitFor(`line of ${requestId} in the access log`, find)
  }

  /** Replaces the configuration in one step, as careful tools do. Text is written as it is. */
  rewrite(config: Config | string): void {
    const next = `${this.configFile}.next`
    writeFileSync(next, typeof config === 'string' ? config : this.configText(config))
    renameSync(next, this.configFile)
  }

  /** A configuration as text, with listener and admin server added. */
  configText(config: Config): string {
    return JSON.stringify({ ...this.#base, ...config }, undefined, 2)
  }

  async status(): Promise<StatusReport> {
    return (await this.#adminFetch('/status')).json() as Promise<StatusReport>
  }

  async metrics(): Promise<MetricsPage> {
    return new MetricsPage(await (await this.#adminFetch('/metrics')).text())
  }

  /** Requests that the gateway believes to be under way: its gauges and the leases of its endpoints, added up. */
  async underWay(): Promise<number> {
    const [page, { endpoints }] = await Promise.all([this.metrics(), this.status()])
    const leases = endpoints.reduce((sum, { inFlight }) => sum + inFlight, 0)
    const gauges = ['infer_gateway_requests_in_flight', 'infer_gateway_endpoint_requests_in_flight']
    return gauges.reduce((sum, name) => sum + page.sum(name), leases)
  }

  /** Sends a signal and resolves with the exit code. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', limitMs = 15_000): Promise<number | null> {
    if (!this.hasExited) {
      const closed = once(this.#child, 'close')
      this.#child.kill(signal)
      const timer = setTimeout(() => this.#child.kill('SIGKILL'), limitMs)
      await closed
      clearTimeout(timer)
    }
    return this.#child.exitCode
  }

  /** Ends it as an operator does, and checks that it was in order: nothing under way, no fault logged, exit code 0. */
  async close(): Promise<void> {
    const isQuiet = async (): Promise<boolean> => (await this.underWay()) === 0
    const quiet = this.hasExited
      ? undefined
      : await waitFor('quiet gateway', isQuiet, 2000).catch((error: unknown) => this.#unlessEnded(error))
    const code = await this.stop()
    rmSync(this.directory, { recursive: true, force: true })
    if (quiet instanceof Error) throw quiet
    assert.equal(code, 0, this.#stderr)
    if (this.#mayFault) return
    assert.doesNotMatch(this.#stderr, /internal|TypeError|ReferenceError|RangeError|\n {4}at /, 'a fault of its own')
  }

  /** A process that has just been ended by somebody else answers no more; that it has ended is heard a moment later. */
  async #unlessEnded(error: unknown): Promise<unknown> {
    for (let waitedMs = 0; waitedMs < 500 && !this.hasExited; waitedMs += 10) await sleep(10)
    return this.hasExited ? undefined : error
  }

  async #isReady(): Promise<boolean> {
    if (this.hasExited) throw new Error(`it ended with ${this.#child.exitCode}`)
    try {
      return (await this.#adminFetch('/readyz')).ok
    } catch {
      return false
    }
  }

  #adminFetch(path: string): Promise<Response> {
    return fetch(`${this.adminUrl}${path}`, { signal: AbortSignal.timeout(5000) })
  }

  #read(text: string): void {
    const lines = (this.#stdout + text).split('\n')
    this.#stdout = lines.pop() ?? ''
    this.#lines.push(...lines.map((line) => JSON.parse(line) as AccessLine))
  }
}
