/**
 * Measures the gateway next to nginx, in front of the same backend, in one run.
 *
 *   npm run bench                                  everything, about four minutes; writes bench/results/
 *   npm run bench -- small sse --rounds 2          some cases; writes nothing unless --save NAME says so
 *   npm run bench -- --seconds 2                   longer samples than 1 s
 *   npm run bench -- --command 'node other.ts'     another program on the gateway's port; writes nothing
 *
 * Method and reading: docs/performance.md.
 */
import { arch, availableParallelism, release } from 'node:os'
import { parseArgs } from 'node:util'
import { type BenchCase, type CpuCase, cases, type LatencyCase, type MemoryCase } from './cases.ts'
import { cpuRow, latencyRow, memoryRow, type Sample, sampleCpu, sampleLatency, sampleMemory } from './measure.ts'
import { canRunRealtime, exitCodeOf, raisePriority } from './processes.ts'
import { type BenchResult, type Environment, type ResultRow, saveResult } from './result.ts'
import { gatewayCommand, missingTools, nginxVersion, type RunningStack, Stack } from './stack.ts'
import { renderResult } from './table.ts'

interface Options {
  readonly wanted: readonly BenchCase[]
  readonly rounds: number
  readonly seconds: number
  readonly command: readonly string[]
  /** Name of the file to write; undefined: none. */
  readonly save: string | undefined
}

/** Lengths in seconds: a latency sample needs a few hundred requests at 50 a second for its p99. */
const latencySeconds = 4
/** V8 goes on compiling for several seconds of full load; nginx has nothing to warm but its connections. */
const warmUpSeconds = { nginx: 0.5, gateway: 8 }

function readOptions(): Options {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '1' },
      command: { type: 'string' },
      save: { type: 'string' },
    },
  })
  const unknown = positionals.filter((name) => !cases.some((one) => one.name === name))
  if (unknown.length > 0) {
    throw new Error(`unknown case ${unknown.join(', ')}; there are: ${cases.map(({ name }) => name).join(', ')}`)
  }
  const rounds = Number(values.rounds)
  const seconds = Number(values.seconds)
  if (!Number.isInteger(rounds) || rounds < 1 || !(seconds > 0)) {
    throw new Error('--rounds is a whole number from 1, --seconds a number above 0')
  }
  const isWhole = positionals.length === 0 && values.command === undefined
  return {
    wanted: positionals.length === 0 ? cases : cases.filter(({ name }) => positionals.includes(name)),
    rounds,
    seconds,
    command: values.command?.split(' ') ?? gatewayCommand,
    save: values.save ?? (isWhole ? `${availableParallelism()}-cores-${arch()}` : undefined),
  }
}

function isCpu(one: BenchCase): one is CpuCase {
  return one.kind === 'cpu'
}

function isLatency(one: BenchCase): one is LatencyCase {
  return one.kind === 'latency'
}

function isMemory(one: BenchCase): one is MemoryCase {
  return one.kind === 'memory'
}

function say(text: string): void {
  process.stderr.write(`${text}\n`)
}

function saySample(round: string, plan: BenchCase, { target, report, cpuUs, problems }: Sample): void {
  const isFirst = plan.kind === 'latency' && plan.what === 'first token'
  const [p50, p99] = isFirst ? [report.firstTokenP50Us, report.firstTokenP99Us] : [report.p50Us, report.p99Us]
  const figure =
    plan.kind === 'cpu'
      ? `${cpuUs.toFixed(1).padStart(8)} µs a request, ${Math.round(report.requests / report.seconds)} a second`
      : `${(p50 / 1000).toFixed(3).padStart(8)} ms p50, ${(p99 / 1000).toFixed(3)} ms p99`
  const problem = problems.length > 0 ? `   left out: ${problems.join('; ')}` : ''
  say(`${round}  ${plan.name.padEnd(12)} ${target.padEnd(8)} ${figure}${problem}`)
}

async function measureMemory(stack: Stack, plans: readonly MemoryCase[]): Promise<ResultRow[]> {
  const rows: ResultRow[] = []
  for (const plan of plans) {
    const running = await stack.start()
    const taken = {
      nginx: await sampleMemory(stack, running, { case: plan, target: 'nginx' }),
      gateway: await sampleMemory(stack, running, { case: plan, target: 'gateway' }),
    }
    await stack.stop()
    for (const target of ['nginx', 'gateway'] as const) {
      const { beforeMiB, withStreamsMiB } = taken[target].memory
      say(`memory     ${plan.name.padEnd(12)} ${target.padEnd(8)} ${beforeMiB} MiB, with streams ${withStreamsMiB} MiB`)
    }
    rows.push(memoryRow(plan, taken))
  }
  return rows
}

/** Turns of nginx and gateway in each round, so that what else the machine does meets both. */
async function measureCpu(
  stack: Stack,
  running: RunningStack,
  plans: readonly CpuCase[],
  { rounds, seconds }: Options,
): Promise<ResultRow[]> {
  const samples = new Map<CpuCase, Sample[]>(plans.map((plan) => [plan, []]))
  for (const plan of plans) {
    for (const target of ['nginx', 'gateway'] as const) {
      await stack.load(target, plan.load, { seconds: warmUpSeconds[target] })
    }
  }
  for (let round = 1; round <= rounds; round++) {
    for (const plan of plans) {
      for (const target of ['nginx', 'gateway'] as const) {
        const sample = await sampleCpu(stack, running, { case: plan, target, seconds })
        saySample(`round ${round}/${rounds}`, plan, sample)
        samples.get(plan)?.push(sample)
      }
    }
  }
  return [...samples].map(([plan, taken]) => cpuRow(plan, taken))
}

async function measureLatency(
  stack: Stack,
  running: RunningStack,
  plans: readonly LatencyCase[],
  { rounds, realtime }: Options & { readonly realtime: boolean },
): Promise<ResultRow[]> {
  const samples = new Map<LatencyCase, Sample[]>(plans.map((plan) => [plan, []]))
  for (const plan of plans) {
    for (const target of ['nginx', 'gateway'] as const) {
      await stack.load(target, plan.load, { seconds: warmUpSeconds[target] })
    }
  }
  for (let round = 1; round <= rounds; round++) {
    for (const plan of plans) {
      for (const target of ['direct', 'nginx', 'gateway'] as const) {
        const sample = await sampleLatency(stack, running, { case: plan, target, seconds: latencySeconds, realtime })
        saySample(`round ${round}/${rounds}`, plan, sample)
        samples.get(plan)?.push(sample)
      }
    }
  }
  return [...samples].map(([plan, taken]) => latencyRow(plan, taken))
}

async function measure(stack: Stack, options: Options): Promise<BenchResult> {
  const environment: Environment = {
    node: process.version,
    nginx: nginxVersion(),
    kernel: /^[\d.]+/.exec(release())?.[0] ?? 'unknown',
    architecture: arch(),
    cores: availableParallelism(),
    realtime: canRunRealtime(),
    raisedPriority: raisePriority(),
  }
  const { wanted } = options
  const rows: ResultRow[] = await measureMemory(stack, wanted.filter(isMemory))
  const cpu = wanted.filter(isCpu)
  const latency = wanted.filter(isLatency)
  if (cpu.length + latency.length > 0) {
    const running = await stack.start()
    rows.unshift(
      ...(await measureCpu(stack, running, cpu, options)),
      ...(await measureLatency(stack, running, latency, { ...options, realtime: environment.realtime })),
    )
    if (stack.isOwnGateway) await requireMetrics(stack)
  }
  const date = new Date().toISOString().slice(0, 10)
  return { date, environment, rounds: options.rounds, seconds: options.seconds, rows }
}

/** A gateway that counts nothing saves work that counts. */
async function requireMetrics(stack: Stack): Promise<void> {
  const page = await stack.metrics()
  if (!page?.includes('infer_gateway_requests_total{model="m",api="chat",status="200"}')) {
    throw new Error('the metrics page of the gateway counts no request')
  }
}

async function main(): Promise<number> {
  const options = readOptions()
  const missing = missingTools()
  for (const line of missing) say(line)
  if (missing.length > 0) return 1
  const stack = new Stack(options.command)
  let isStopping = false
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      isStopping = true
      say('\nstopping...')
      void stack.close().finally(() => process.exit(exitCodeOf(signal)))
    })
  }
  try {
    await stack.build()
    const result = await measure(stack, options)
    process.stdout.write(`\n${renderResult(result)}`)
    if (options.save !== undefined) say(`\nwritten: ${saveResult(result, options.save)}`)
    return result.rows.some(({ problems }) => problems.length > 0) ? 1 : 0
  } catch (error) {
    // Whatever was under way fails when its processes are ended: no news.
    if (!isStopping) throw error
    return 1
  } finally {
    await stack.close()
  }
}

try {
  process.exitCode = await main()
} catch (error) {
  say(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
}
