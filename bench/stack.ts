/** Builds and starts what is measured: the backend, nginx and the gateway in front of it, each under its own id. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { chunkIntervalUs, type Load, streamChunks } from './cases.ts'
import { Processes, type Program, realtimeCommand } from './processes.ts'
import type { Target } from './result.ts'

/** Repeated in gateway.yaml and nginx.conf; below the range that systems take outgoing ports from. */
const backendPorts = [18391, 18392, 18393, 18394]
const adminPort = 18397
const ports: Readonly<Record<Target, number>> = { direct: 18391, nginx: 18395, gateway: 18396 }

const startLimitMs = 20_000
const benchFolder = fileURLToPath(new URL('.', import.meta.url))
const root = fileURLToPath(new URL('..', import.meta.url))
const buildFolder = join(benchFolder, 'build')
const metricsPage = join(root, 'src/scraper/fixtures/vllm-0.32.0.txt')

export const gatewayCommand: readonly string[] = ['bin/infer-gateway', 'serve', '-c', 'bench/gateway.yaml']

/** What the load generator reports: bench/load/load.c. Times in microseconds. */
export interface LoadReport {
  readonly requests: number
  readonly errors: number
  readonly badStatus: number
  readonly missed: number
  readonly unfinished: number
  readonly p50Us: number
  readonly p99Us: number
  readonly maxUs: number
  readonly firstTokenP50Us: number
  readonly firstTokenP99Us: number
  readonly firstTokenMaxUs: number
  readonly longestGapUs: number
  readonly framesPerRequest: number
  readonly bodyBytesPerRequest: number
  readonly seconds: number
}

export interface RunningStack {
  readonly backend: Program
  readonly nginx: Program
  readonly gateway: Program
}

/** Says what is missing and how to get it; installs nothing. */
export function missingTools(): readonly string[] {
  const needed = [
    { program: 'gcc', flag: '--version', packages: 'gcc libc6-dev' },
    { program: 'nginx', flag: '-v', packages: 'nginx-light' },
  ]
  const missing = needed.filter(({ program, flag }) => spawnSync(program, [flag], { stdio: 'ignore' }).status !== 0)
  return missing.map(
    ({ program, packages }) => `${program} is missing; on Debian or Ubuntu: sudo apt-get install ${packages}`,
  )
}

export function nginxVersion(): string {
  const { stderr } = spawnSync('nginx', ['-v'], { encoding: 'utf8' })
  return /nginx\/(\S+)/.exec(stderr)?.[1] ?? 'unknown'
}

/** The processes of one run and the folder with their logs, which goes with them. */
export class Stack {
  readonly #processes = new Processes()
  /** Logs of all programs; goes with the stack. */
  readonly #logs = mkdtempSync(join(tmpdir(), 'infer-gateway-bench-'))
  readonly #gatewayCommand: readonly string[]
  /** Whether it is our gateway that is measured; another program need not log as ours does. */
  readonly isOwnGateway: boolean
  #running: RunningStack | undefined

  constructor(command: readonly string[] = gatewayCommand) {
    this.#gatewayCommand = command
    this.isOwnGateway = command === gatewayCommand
  }

  /** Compiles the C programs that are missing or older than their source. */
  async build(): Promise<void> {
    mkdirSync(buildFolder, { recursive: true })
    for (const name of ['backend', 'load']) {
      const source = join(benchFolder, 'load', `${name}.c`)
      const output = join(buildFolder, name)
      if (existsSync(output) && statSync(output).mtimeMs >= statSync(source).mtimeMs) continue
      await this.#processes.run(['gcc', '-O2', '-Wall', '-o', output, source], benchFolder)
    }
  }

  /** Starts all three, and waits until each answers. */
  async start(): Promise<RunningStack> {
    for (const port of [...backendPorts, ports.nginx, ports.gateway, adminPort]) await requireFree(port)
    const backend = this.#start('backend', [
      join(buildFolder, 'backend'),
      backendPorts.join(','),
      String(streamChunks),
      String(chunkIntervalUs),
      metricsPage,
    ])
    const config = join(benchFolder, 'nginx.conf')
    const nginx = this.#start('nginx', ['nginx', '-p', this.#logs, '-e', this.#file('nginx.err'), '-c', config])
    const gateway = this.#start('gateway', this.#gatewayCommand)
    this.#running = { backend, nginx, gateway }
    await this.#untilAnswering(backend, 'direct')
    await this.#untilAnswering(nginx, 'nginx')
    await this.#untilAnswering(gateway, 'gateway')
    return this.#running
  }

  /** Ends the three; the folder with the logs stays for the next start. */
  async stop(): Promise<void> {
    const { backend, nginx, gateway } = this.#running ?? {}
    this.#running = undefined
    for (const program of [gateway, nginx, backend]) if (program) await this.#processes.stop(program)
  }

  /** Ends every process that this stack started and removes its files. */
  async close(): Promise<void> {
    this.#running = undefined
    await this.#processes.stopAll()
    rmSync(this.#logs, { recursive: true, force: true })
  }

  /** Runs the load generator against a target for about `seconds`, and checks that nothing has died meanwhile. */
  async load(target: Target, load: Load, options: { seconds: number; realtime?: boolean }): Promise<LoadReport> {
    const flags = [
      ...(load.rate === undefined ? [] : ['-r', String(load.rate)]),
      ...(load.slowOnce ? ['-1', '-x', 'F_SLOW'] : []),
    ]
    const numbers = [ports[target], load.connections, options.seconds, load.stream ? 1 : 0, load.promptBytes]
    const command = [join(buildFolder, 'load'), ...flags, ...numbers.map(String)]
    const output = await this.#processes.run(options.realtime ? realtimeCommand(command) : command, benchFolder)
    for (const program of Object.values(this.#running ?? {})) this.#requireAlive(program)
    return JSON.parse(output) as LoadReport
  }

  /** Access log lines that a target has written so far. */
  loggedLines(target: 'nginx' | 'gateway'): number {
    const bytes = readFileSync(this.#file(target === 'nginx' ? 'access.log' : 'gateway.out'))
    let lines = 0
    for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) lines++
    return lines
  }

  /** Streams that are open in the backend. */
  async openStreams(): Promise<number> {
    const { streams, finished, aborted } = JSON.parse(await get(ports.direct, '/stats')) as Record<string, number>
    return (streams ?? 0) - (finished ?? 0) - (aborted ?? 0)
  }

  /** The gateway's metrics page; undefined when it serves none. */
  async metrics(): Promise<string | undefined> {
    return get(adminPort, '/metrics').catch(() => undefined)
  }

  #file(name: string): string {
    return join(this.#logs, name)
  }

  #start(name: string, command: readonly string[]): Program {
    const files = { stdout: this.#file(`${name}.out`), stderr: this.#file(`${name}.err`) }
    return this.#processes.start({ name, command, directory: root, ...files })
  }

  async #untilAnswering(program: Program, target: Target): Promise<void> {
    const deadline = performance.now() + startLimitMs
    while (!(await answers(ports[target]))) {
      this.#requireAlive(program)
      if (performance.now() > deadline) throw new Error(`${program.name} does not answer:\n${tail(program.stderr)}`)
      await sleep(100)
    }
  }

  #requireAlive(program: Program): void {
    const ended = program.ended()
    if (ended !== undefined) throw new Error(`${program.name} has ended (${ended}):\n${tail(program.stderr)}`)
  }
}

/** Rejects when somebody listens on the port: figures of a stranger would be worse than none. */
function requireFree(port: number): Promise<void> {
  const server = net.createServer()
  return new Promise((resolve, reject) => {
    server.once('error', () => reject(new Error(`port ${port} is in use: end what listens there and try again`)))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve()))
  })
}

/** Whether a chat completion is answered with 200. */
function answers(port: number): Promise<boolean> {
  const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'hello' }] })
  const headers = { 'content-type': 'application/json', 'content-length': body.length }
  const options = { host: '127.0.0.1', port, path: '/v1/chat/completions', method: 'POST', headers, agent: false }
  return new Promise((resolve) => {
    const request = http.request(options, (response) => {
      response.resume().once('close', () => resolve(response.statusCode === 200))
    })
    request.once('error', () => resolve(false))
    request.setTimeout(2000, () => request.destroy())
    request.end(body)
  })
}

function get(port: number, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = http.get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => (text += part))
      response.once('end', () => resolve(text)).once('error', reject)
    })
    request.once('error', reject)
    request.setTimeout(5000, () => request.destroy(new Error(`no answer from port ${port}`)))
  })
}

function tail(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(-20).join('\n') : ''
}
