/**
 * The restart drill: `npm run drill -- --seconds 120`. A mixed load goes on while the gateway is restarted again and
 * again (SIGUSR2: the new process takes the listening sockets over) and every engine in turn (it drains as engines do on
 * SIGTERM, is gone for a second, and comes back on the same port). Zero failed requests and zero truncated streams is
 * the only result that passes.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { seededRng } from '#core/clock.ts'
import { type Sim, startSim } from '#sim/server.ts'
import { freePorts } from '#test/end-to-end/support/ports.ts'
import { waitFor } from '#test/end-to-end/support/wait.ts'
import { type LoadReport, runLoad } from './load.ts'

const root = join(import.meta.dirname, '..', '..')
const model = 'tiny'
const engines = 4
const simOptions = { models: [model], ttftMs: 20, tpotMs: 10, maxNumSeqs: 512 }

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '120' },
    clients: { type: 'string', default: '40' },
    seed: { type: 'string', default: '1' },
    threads: { type: 'string', default: '1' },
  },
})

interface Counts {
  gateway: number
  engine: number
}

const say = (text: string): void => void process.stdout.write(`${text}\n`)

/** The process that the pid file names: it changes with every restart. */
function pidIn(file: string): number {
  return Number(readFileSync(file, 'utf8').trim())
}

async function restartGateway(pidFile: string, statusUrl: string): Promise<void> {
  const before = pidIn(pidFile)
  process.kill(before, 'SIGUSR2')
  await waitFor('new gateway process', () => pidIn(pidFile) !== before, 60_000)
  await waitFor('ready gateway', () => isReady(statusUrl), 60_000)
}

async function isReady(statusUrl: string): Promise<boolean> {
  try {
    return (await fetch(`${statusUrl}/readyz`, { signal: AbortSignal.timeout(2000) })).ok
  } catch {
    return false
  }
}

/** Engines one after the other, each drained, away for a second, and back. */
async function rollEngines(sims: Sim[], untilMs: number, counts: Counts): Promise<void> {
  for (let turn = 0; performance.now() < untilMs; turn = (turn + 1) % sims.length) {
    await pause(2000)
    const sim = sims[turn] as Sim
    await sim.drain()
    await pause(1000)
    sims[turn] = await startSim({ ...simOptions, port: sim.port })
    counts.engine++
  }
}

async function rollGateway(pidFile: string, adminUrl: string, untilMs: number, counts: Counts): Promise<void> {
  await pause(3000)
  while (performance.now() < untilMs - 5000) {
    await restartGateway(pidFile, adminUrl)
    counts.gateway++
    await pause(6000)
  }
}

function report(result: LoadReport, counts: Counts, seconds: number): void {
  const total = Object.entries(result.counts).reduce((sum, [name, n]) => (name === 'failed' ? sum : sum + n), 0)
  say('')
  say(`restart drill of ${seconds} s: ${counts.gateway} restarts of the gateway, ${counts.engine} of engines`)
  for (const [name, count] of Object.entries(result.counts)) say(`  ${name.padEnd(12)} ${String(count).padStart(7)}`)
  say(`  ${'all'.padEnd(12)} ${String(total).padStart(7)}   longest ${(result.longestMs / 1000).toFixed(1)} s`)
  for (const { kind, atMs, detail } of result.failures)
    say(`  FAILED ${kind} at ${(atMs / 1000).toFixed(2)} s: ${detail}`)
}

async function main(): Promise<number> {
  const seconds = Number(values.seconds)
  const directory = mkdtempSync(join(tmpdir(), 'infer-gateway-drill-'))
  const sims: Sim[] = []
  for (let i = 0; i < engines; i++) sims.push(await startSim({ ...simOptions, port: await freePorts.take() }))
  const port = await freePorts.take()
  const adminPort = await freePorts.take()
  const config = join(directory, 'gateway.yaml')
  const pidFile = join(directory, 'gateway.pid')
  const short = {
    threads: Number(values.threads),
    listeners: [{ address: '127.0.0.1', port }],
    admin: { address: '127.0.0.1', port: adminPort },
    log: { access: false },
    models: { [model]: { engine: 'vllm', endpoints: sims.map(({ url }) => url) } },
  }
  writeFileSync(config, JSON.stringify(short))
  const args = ['serve', '-c', config, '--pid-file', pidFile]
  const child: ChildProcess = spawn(join(root, 'bin', 'infer-gateway'), args, {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const adminUrl = `http://127.0.0.1:${adminPort}`
  const counts: Counts = { gateway: 0, engine: 0 }
  try {
    await waitFor('ready gateway', () => isReady(adminUrl), 60_000)
    const untilMs = performance.now() + seconds * 1000
    const rng = seededRng(Number(values.seed))
    const load = { port, model, rng, clients: Number(values.clients), untilMs, now: () => performance.now() }
    const [result] = await Promise.all([
      runLoad(load),
      rollEngines(sims, untilMs, counts),
      rollGateway(pidFile, adminUrl, untilMs, counts),
    ])
    report(result, counts, seconds)
    return result.failures.length === 0 && counts.gateway > 0 && counts.engine > 0 ? 0 : 1
  } finally {
    process.kill(pidIn(pidFile), 'SIGTERM')
    child.unref()
    await pause(500)
    await Promise.all(sims.map((sim) => sim.close()))
    rmSync(directory, { recursive: true, force: true })
  }
}

process.exitCode = await main()
