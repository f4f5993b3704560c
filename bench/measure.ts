/** One sample, and what a row makes of the samples of all rounds. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { BenchCase, CpuCase, LatencyCase, MemoryCase } from './cases.ts'
import { cpuUs, residentBytes, setRealtime } from './processes.ts'
import type { CpuRow, Latency, LatencyRow, Memory, MemoryRow, Target } from './result.ts'
import type { LoadReport, RunningStack, Stack } from './stack.ts'

export interface Sample {
  readonly target: Target
  readonly report: LoadReport
  /** CPU per request in microseconds; 0 where it is not measured. */
  readonly cpuUs: number
  /** What makes the sample worthless; empty when it is good. */
  readonly problems: readonly string[]
}

/** Access logs are written in batches: their last lines, and the CPU for them, come a moment after the answers. */
const settleMs = 300
const logLimitMs = 3000

/** Measures one target once: CPU per request of its process tree, every answer checked for completeness. */
export async function sampleCpu(
  stack: Stack,
  running: RunningStack,
  plan: { readonly case: CpuCase; readonly target: 'nginx' | 'gateway'; readonly seconds: number },
): Promise<Sample> {
  const { load, pacedWithinMs } = plan.case
  const program = running[plan.target]
  const lines = stack.loggedLines(plan.target)
  const before = cpuUs(program.pid)
  const report = await stack.load(plan.target, load, { seconds: plan.seconds })
  await sleep(settleMs)
  const spent = cpuUs(program.pid) - before
  const problems = [
    ...reportProblems(plan.case, report),
    ...(await logProblems(stack, plan.target, lines + report.requests)),
  ]
  if (pacedWithinMs !== undefined && report.p50Us > pacedWithinMs * 1000) {
    problems.push(`the pace was not held: an answer took ${Math.round(report.p50Us / 1000)} ms`)
  }
  return { target: plan.target, report, cpuUs: spent / Math.max(1, report.requests), problems }
}

/** Measures the latency of one target once, with everything that takes part under real-time scheduling if permitted. */
export async function sampleLatency(
  stack: Stack,
  running: RunningStack,
  plan: { readonly case: LatencyCase; readonly target: Target; readonly seconds: number; readonly realtime: boolean },
): Promise<Sample> {
  const { target, seconds, realtime } = plan
  const takesPart = target === 'direct' ? [running.backend] : [running.backend, running[target]]
  if (realtime) for (const program of takesPart) setRealtime(program.pid, true)
  const report = await stack.load(target, plan.case.load, { seconds, realtime })
  if (realtime) for (const program of takesPart) setRealtime(program.pid, false)
  return { target, report, cpuUs: 0, problems: reportProblems(plan.case, report) }
}

const mib = 1024 * 1024
/** The streams last ten seconds; memory is read while all are open. */
const streamSeconds = 15
const memoryWindowMs = { from: 3000, to: 8000, step: 250 }

/** Resident memory of a freshly started target with no stream, and the most of it with all streams open. */
export async function sampleMemory(
  stack: Stack,
  running: RunningStack,
  plan: { readonly case: MemoryCase; readonly target: 'nginx' | 'gateway' },
): Promise<{ readonly memory: Memory; readonly problems: readonly string[] }> {
  const { load } = plan.case
  const { pid } = running[plan.target]
  const before = residentBytes(pid)
  const finished = stack.load(plan.target, load, { seconds: streamSeconds })
  // Awaited only after the window; when it fails within, the failure is still reported there.
  finished.catch(() => undefined)
  let most = 0
  let open = 0
  await sleep(memoryWindowMs.from)
  for (let at = memoryWindowMs.from; at < memoryWindowMs.to; at += memoryWindowMs.step) {
    most = Math.max(most, residentBytes(pid))
    open = Math.max(open, await stack.openStreams())
    await sleep(memoryWindowMs.step)
  }
  const report = await finished
  const problems = reportProblems(plan.case, report)
  if (open !== load.connections) problems.push(`only ${open} of ${load.connections} streams were open`)
  const memory = {
    beforeMiB: round(before / mib, 1),
    withStreamsMiB: round(most / mib, 1),
    perStreamKiB: round((most - before) / load.connections / 1024, 1),
  }
  return { memory, problems }
}

function reportProblems(plan: BenchCase, report: LoadReport): string[] {
  const problems: string[] = []
  const { errors, badStatus, missed, unfinished } = report
  if (errors + badStatus + missed + unfinished > 0) {
    problems.push(`${errors} broken, ${badStatus} not 200, ${missed} not sent in time, ${unfinished} not finished`)
  }
  if (report.requests === 0) problems.push('no request finished')
  if (report.framesPerRequest !== plan.load.frames) {
    problems.push(`${report.framesPerRequest} frames per answer instead of ${plan.load.frames}`)
  }
  if (plan.load.slowOnce && report.requests !== plan.load.connections) {
    problems.push(`${report.requests} of ${plan.load.connections} streams finished`)
  }
  return problems
}

/** A target that does not log saves work that counts. */
async function logProblems(stack: Stack, target: 'nginx' | 'gateway', wanted: number): Promise<string[]> {
  if (target === 'gateway' && !stack.isOwnGateway) return []
  let lines = stack.loggedLines(target)
  for (let waited = 0; lines < wanted && waited < logLimitMs; waited += settleMs) {
    await sleep(settleMs)
    lines = stack.loggedLines(target)
  }
  return lines < wanted ? [`the access log misses ${wanted - lines} of ${wanted} lines`] : []
}

/** The row of a CPU case: the least of its valid samples, per target. */
export function cpuRow(plan: CpuCase, samples: readonly Sample[]): CpuRow {
  const good = samples.filter(({ problems }) => problems.length === 0)
  const of = (target: Target): number[] =>
    good.filter((sample) => sample.target === target).map((sample) => round(sample.cpuUs, 1))
  const rounds = { nginx: of('nginx'), gateway: of('gateway') }
  // A round with a problem is left out; the row falls only when a target has no good round at all.
  const isUsable = rounds.nginx.length > 0 && rounds.gateway.length > 0
  return {
    kind: 'cpu',
    case: plan.name,
    title: plan.title,
    problems: isUsable ? sizeProblems(good) : problemsOf(samples),
    nginxUs: least(rounds.nginx),
    gatewayUs: least(rounds.gateway),
    target: plan.target,
    rounds,
  }
}

/** The row of a latency case: the least of all rounds, per target and figure. */
export function latencyRow(plan: LatencyCase, samples: readonly Sample[]): LatencyRow {
  const good = samples.filter(({ problems }) => problems.length === 0)
  const isUsable = (['direct', 'nginx', 'gateway'] as const).every((target) => good.some((s) => s.target === target))
  const used = isUsable ? good : samples
  const figure = (target: Target, read: (report: LoadReport) => number): number =>
    round(Math.min(...used.filter((sample) => sample.target === target).map(({ report }) => read(report))) / 1000, 3)
  const isFirst = plan.what === 'first token'
  const of = (target: Target): Latency => ({
    p50Ms: figure(target, (report) => (isFirst ? report.firstTokenP50Us : report.p50Us)),
    p99Ms: figure(target, (report) => (isFirst ? report.firstTokenP99Us : report.p99Us)),
    longestMs: figure(target, (report) =>
      isFirst ? Math.max(report.longestGapUs, report.firstTokenMaxUs) : report.maxUs,
    ),
  })
  return {
    kind: 'latency',
    case: plan.name,
    title: plan.title,
    what: plan.what,
    problems: isUsable ? sizeProblems(good) : problemsOf(samples),
    direct: of('direct'),
    nginx: of('nginx'),
    gateway: of('gateway'),
    targetP50Ms: plan.targetP50Ms,
    targetP99Ms: plan.targetP99Ms,
  }
}

export function memoryRow(
  plan: MemoryCase,
  taken: Readonly<Record<'nginx' | 'gateway', Awaited<ReturnType<typeof sampleMemory>>>>,
): MemoryRow {
  const problems = (['nginx', 'gateway'] as const).flatMap((target) =>
    taken[target].problems.map((problem) => `${target}: ${problem}`),
  )
  const { nginx, gateway } = taken
  const streams = plan.load.connections
  return {
    kind: 'memory',
    case: plan.name,
    title: plan.title,
    problems,
    streams,
    nginx: nginx.memory,
    gateway: gateway.memory,
  }
}

/** Everybody must deliver the same bytes: a body that grew or shrank was not passed through. */
function sizeProblems(samples: readonly Sample[]): string[] {
  const sizes = new Set(samples.map(({ report }) => report.bodyBytesPerRequest))
  return sizes.size > 1 ? [`bodies differ in size: ${[...sizes].join(', ')} bytes`] : []
}

function problemsOf(samples: readonly Sample[]): string[] {
  const texts = samples.flatMap(({ target, problems }) => problems.map((problem) => `${target}: ${problem}`))
  return [...new Set(texts)].slice(0, 5)
}

function least(values: readonly number[]): number | null {
  return values.length > 0 ? Math.min(...values) : null
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits))
}
