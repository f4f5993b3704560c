/**
 * What a second data thread costs the first: CPU per request of each thread, with one and with two of them, in turns on
 * the same load. Threads that share a lock, or memory that they write in turns, need more CPU per request together than
 * alone, and switch more often to wait. Run it with `scripts/run node bench/threads.ts [SECONDS] [ROUNDS]`.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Processes, type Program, threadCpuUs } from './processes.ts'
import type { LoadReport } from './stack.ts'

const benchFolder = fileURLToPath(new URL('.', import.meta.url))
const root = fileURLToPath(new URL('..', import.meta.url))
const buildFolder = join(benchFolder, 'build')
const metricsPage = join(root, 'src/scraper/fixtures/vllm-0.32.0.txt')
const backendPorts = [18491, 18492, 18493, 18494]
const gatewayPort = 18496
const adminPort = 18497
const connections = 32
const warmUpSeconds = 3
const startLimitMs = 30_000

/** What one run with a number of threads came to. */
interface Run {
  readonly threads: number
  readonly requests: number
  readonly seconds: number
  /** CPU of each data thread, in microseconds. */
  readonly threadUs: readonly number[]
  /** CPU of the main thread, which scrapes and writes the log. */
  readonly mainUs: number
  /** Times a data thread gave up its core to wait: for events, or for a lock if there were one. */
  readonly waits: number
}

async function main(seconds: number, rounds: number): Promise<void> {
  const processes = new Processes()
  const folder = mkdtempSync(join(tmpdir(), 'infer-gateway-threads-'))
  const start = (name: string, command: readonly string[]): Program =>
    processes.start({ name, command, directory: root, stdout: '/dev/null', stderr: join(folder, `${name}.err`) })
  try {
    mkdirSync(buildFolder, { recursive: true })
    for (const name of ['backend', 'load']) {
      const source = join(benchFolder, 'load', `${name}.c`)
      await processes.run(['gcc', '-O2', '-Wall', '-o', join(buildFolder, name), source], root)
    }
    start('backend', [join(buildFolder, 'backend'), backendPorts.join(','), '100', '1000', metricsPage])
    const runs: Run[] = []
    for (let round = 0; round < rounds; round++) {
      for (const threads of [1, 2]) {
        const file = join(folder, 'gateway.yaml')
        writeFileSync(file, configOf(threads))
        const gateway = start(`gateway-${threads}`, ['bin/infer-gateway', 'serve', '-c', file])
        await untilReady(gateway)
        await load(processes, warmUpSeconds)
        runs.push(await measure(processes, { pid: gateway.pid, threads, seconds }))
        await processes.stop(gateway)
      }
    }
    process.stdout.write(`${tableOf(runs)}\n`)
  } finally {
    await processes.stopAll()
    rmSync(folder, { recursive: true, force: true })
  }
}

function configOf(threads: number): string {
  return JSON.stringify({
    threads,
    listeners: [{ address: '127.0.0.1', port: gatewayPort }],
    admin: { address: '127.0.0.1', port: adminPort },
    models: { m: { engine: 'vllm', endpoints: backendPorts.map((port) => `http://127.0.0.1:${port}`) } },
  })
}

async function untilReady(gateway: Program): Promise<void> {
  const deadline = performance.now() + startLimitMs
  for (;;) {
    const ended = gateway.ended()
    if (ended !== undefined || performance.now() > deadline) {
      throw new Error(
        `the gateway is not ready: ${ended ?? 'it takes too long'}\n${readFileSync(gateway.stderr, 'utf8')}`,
      )
    }
    const response = await fetch(`http://127.0.0.1:${adminPort}/readyz`).catch(() => undefined)
    if (response?.ok) return
    await sleep(50)
  }
}

async function load(processes: Processes, seconds: number): Promise<LoadReport> {
  const command = [join(buildFolder, 'load'), gatewayPort, connections, seconds, 0, 200].map(String)
  const report = JSON.parse(await processes.run(command, root)) as LoadReport
  if (report.errors + report.badStatus > 0) throw new Error(`${report.errors} errors, ${report.badStatus} bad answers`)
  return report
}

interface Measured {
  readonly pid: number
  readonly threads: number
  readonly seconds: number
}

async function measure(processes: Processes, { pid, threads, seconds }: Measured): Promise<Run> {
  const names = Array.from({ length: threads }, (_, index) => `data-${index}`)
  const [cpuBefore, waitsBefore] = [threadCpuUs(pid), waitsOf(pid)]
  const { requests, seconds: taken } = await load(processes, seconds)
  const [cpuAfter, waitsAfter] = [threadCpuUs(pid), waitsOf(pid)]
  const spent = (name: string): number => (cpuAfter.get(name) ?? 0) - (cpuBefore.get(name) ?? 0)
  return {
    threads,
    requests,
    seconds: taken,
    threadUs: names.map(spent),
    mainUs: spent('MainThread'),
    waits: waitsAfter - waitsBefore,
  }
}

/** Voluntary context switches of the data threads so far. */
function waitsOf(pid: number): number {
  let waits = 0
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'latin1')
    if (/^Name:\s+data-\d+$/m.test(status)) waits += Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)?.[1])
  }
  return waits
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

function tableOf(runs: readonly Run[]): string {
  const lines = [
    'threads | requests/s | data CPU us/request | requests per CPU-second of a thread | share of each thread | main CPU us/request | waits/request',
    '--- | --- | --- | --- | --- | --- | ---',
  ]
  const costs = new Map<number, number>()
  for (const threads of new Set(runs.map((run) => run.threads))) {
    const own = runs.filter((run) => run.threads === threads)
    const requests = sum(own.map((run) => run.requests))
    const perThread = Array.from({ length: threads }, (_, at) => sum(own.map(({ threadUs }) => threadUs[at] ?? 0)))
    const dataUs = sum(perThread)
    costs.set(threads, dataUs / requests)
    lines.push(
      [
        threads,
        Math.round(requests / sum(own.map(({ seconds }) => seconds))),
        (dataUs / requests).toFixed(1),
        Math.round((requests / dataUs) * 1e6),
        perThread.map((us) => `${Math.round((us / dataUs) * 100)} %`).join(' '),
        (sum(own.map(({ mainUs }) => mainUs)) / requests).toFixed(1),
        (sum(own.map(({ waits }) => waits)) / requests).toFixed(3),
      ].join(' | '),
    )
  }
  const ratio = (costs.get(1) ?? 0) / (costs.get(2) ?? 1)
  lines.push('', `A thread of two does ${(ratio * 100).toFixed(0)} % of what it does alone, per second of its CPU.`)
  return lines.join('\n')
}

const [secondsText = '5', roundsText = '3'] = process.argv.slice(2)
await main(Number(secondsText), Number(roundsText))
