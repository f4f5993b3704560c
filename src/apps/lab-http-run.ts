import { availableParallelism, loadavg } from 'node:os'
import type { ProfilePlan } from '#config/snapshot.ts'
import type { Clock } from '#core/clock.ts'
import { type Served, servedFrom } from '#lab/agreement.ts'
import type { HttpConditions, MeanAndTail } from '#lab/agreement-report.ts'
import { ownArm } from '#lab/arms/own-profiles.ts'
import { withLaterArrivals } from '#lab/later-arrivals.ts'
import { mean, percentile } from '#lab/percentile.ts'
import { serveArm, settingsOf } from '#lab/run.ts'
import { VirtualFleet } from '#lab/virtual-fleet.ts'
import type { WorkloadDefinition } from '#lab/workload/workload.ts'
import type { EngineSettings } from '#sim/model/engine-settings.ts'
import type { SimOptions } from '#sim/options.ts'
import { type LabGateway, startLabGateway } from './lab-gateway.ts'
import { type PlacedArrival, sendWorkload } from './lab-http-load.ts'
import { type SimulatorFleet, startSimulatorFleet } from './simulator-fleet.ts'

/** One list of requests for one profile. */
export interface HttpRunPlan {
  readonly workload: WorkloadDefinition
  readonly profile: ProfilePlan
  readonly seed: number
  /** In the unit of the workload. */
  readonly load: number
  readonly warmUpMs: number
  readonly measuredMs: number
  /** How many times faster than the clock the fleet's time goes. */
  readonly timeFactor: number
  /** Tokens in one event of a stream. */
  readonly streamInterval: number
  readonly readTrace: (file: string) => string
}

/** What came of one list of requests. */
export interface HttpRun {
  readonly served: readonly Served[]
  /** The same requests in virtual time, on the same endpoints at the same times. */
  readonly asPlaced: readonly Served[]
  readonly conditions: HttpConditions
}

const model = 'lab'

/** Most by which arrivals are later in the runs that show chance: as much as a timer and a socket may take. */
const mostLateMs = 2

/** The engine's own seed says what its answers are, and nothing else. */
const engineSeed = 1

/** Runs the requests over HTTP, with a gateway and engines of their own, which are gone afterwards. */
export async function runOverHttp(
  plan: HttpRunPlan,
  clock: Clock,
  onProgress: (fleetMs: number) => void,
): Promise<HttpRun> {
  const fleets: SimulatorFleet[] = []
  let gateway: LabGateway | undefined
  try {
    for (const group of engineGroups(plan)) fleets.push(await startSimulatorFleet(group))
    const ports = fleets.flatMap((fleet) => fleet.ports)
    gateway = await startLabGateway({ config: gatewayConfig(plan, ports), seed: plan.seed, clock })
    return await measured(plan, { fleets, gateway, ports, clock, onProgress })
  } finally {
    gateway?.kill()
    await Promise.all(fleets.map((fleet) => fleet.close()))
  }
}

interface Stage {
  readonly fleets: readonly SimulatorFleet[]
  readonly gateway: LabGateway
  readonly ports: readonly number[]
  readonly clock: Clock
  readonly onProgress: (fleetMs: number) => void
}

async function measured(plan: HttpRunPlan, { fleets, gateway, ports, clock, onProgress }: Stage): Promise<HttpRun> {
  const { warmUpMs, timeFactor } = plan
  const [loadAverage = Number.NaN] = loadavg()
  const before = await cpuTimes(fleets, gateway)
  const { served, placed, failures, lateMs, tookMs } = await sendWorkload({
    workload: plan.workload.create(setupOf(plan)),
    port: gateway.port,
    model,
    warmUpMs,
    endMs: warmUpMs + plan.measuredMs,
    timeFactor,
    clock,
    endpointOf: (name) => ports.indexOf(Number(name.slice(name.lastIndexOf(':') + 1))),
    onProgress,
  })
  const after = await cpuTimes(fleets, gateway)
  const cores = (of: (times: CpuTimes) => number): number => (of(after) - of(before)) / tookMs
  const log = await gateway.close()
  return {
    served,
    asPlaced: servedAsPlaced(plan, placed, served),
    conditions: {
      loadAverage,
      gatewayCores: cores((times) => times.gatewayMs),
      enginesCores: cores((times) => times.enginesMs),
      clientsCores: cores((times) => times.allMs - times.enginesMs),
      late: meanAndTail(lateMs),
      gateway: meanAndTail(timesBeforeUpstream(log)),
      failures: Object.fromEntries(failures),
    },
  }
}

/** What the engines would have done in virtual time with what they got. */
function servedAsPlaced(
  { workload }: HttpRunPlan,
  placed: readonly PlacedArrival[],
  measuredOnes: readonly Served[],
): readonly Served[] {
  const names = new Set(measuredOnes.map(({ name }) => name))
  const endpoints = new Map(placed.map(({ arrival, endpoint }) => [arrival, endpoint]))
  const arrivals = placed.map(({ arrival }) => arrival)
  const calls = new VirtualFleet(settingsOf(workload)).serve(arrivals, (arrival) => endpoints.get(arrival) ?? -1)
  return calls
    .map((call, i) => ({ call, ...placed[i]! }))
    .filter(({ arrival }) => names.has(arrival.answer?.seed ?? -1))
    .map(servedFrom)
}

interface CpuTimes {
  readonly gatewayMs: number
  readonly enginesMs: number
  /** Of this process, engines included. */
  readonly allMs: number
}

async function cpuTimes(fleets: readonly SimulatorFleet[], gateway: LabGateway): Promise<CpuTimes> {
  const [gatewayMs, ...each] = await Promise.all([gateway.cpuMs(), ...fleets.map((fleet) => fleet.cpuMs())])
  const { user, system } = process.cpuUsage()
  return { gatewayMs, enginesMs: each.reduce((sum, ms) => sum + ms, 0), allMs: (user + system) / 1e3 }
}

function meanAndTail(valuesMs: readonly number[]): MeanAndTail {
  const sorted = Float64Array.from(valuesMs)
  return { meanMs: mean(sorted), p99Ms: percentile(sorted, 0.99) }
}

/** How long the gateway had each request before it sent it on, by its access log. */
function timesBeforeUpstream(log: string): readonly number[] {
  return log
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => (JSON.parse(line) as { readonly before_upstream_ms?: number }).before_upstream_ms)
    .filter((each) => each !== undefined)
}

/** Engines by thread: half of the processors at most, the others are for gateway and clients. */
function engineGroups(plan: HttpRunPlan): readonly (readonly SimOptions[])[] {
  const engines = settingsOf(plan.workload).map((settings) => simOptions(plan, settings))
  const threads = Math.max(1, Math.min(engines.length, Math.floor(availableParallelism() / 2)))
  const perThread = Math.ceil(engines.length / threads)
  return Array.from({ length: Math.ceil(engines.length / perThread) }, (_, i) =>
    engines.slice(i * perThread, (i + 1) * perThread),
  )
}

function simOptions(plan: HttpRunPlan, settings: EngineSettings): SimOptions {
  const { cost, frontEndMs, transferStartMs, transferPerTokenUs, holdMs } = settings
  return {
    engine: 'vllm',
    models: [model],
    adapters: adaptersOf(plan),
    preset: plan.workload.preset,
    maxNumSeqs: settings.maxNumSeqs,
    maxBatchedTokens: settings.maxBatchedTokens,
    scheduling: settings.scheduling,
    maxLoras: settings.maxAdapters,
    adapterLoadMs: settings.adapterLoadMs,
    kvBlocks: settings.kvBlocks,
    blockSize: settings.blockSize,
    model: { cost, frontEndMs, transferStartMs, transferPerTokenUs, holdMs },
    maxModelLen: settings.kvBlocks * settings.blockSize,
    timeFactor: plan.timeFactor,
    streamInterval: plan.streamInterval,
    seed: engineSeed,
  }
}

/** The adapters that the requests known from the start ask for. */
function adaptersOf(plan: HttpRunPlan): readonly string[] {
  const found = new Set<number>()
  for (const { atMs, request } of plan.workload.create(setupOf(plan)).arrivals) {
    if (atMs >= plan.warmUpMs + plan.measuredMs) break
    if (request.adapter !== undefined) found.add(request.adapter)
  }
  return [...found].toSorted((a, b) => a - b).map((adapter) => `adapter-${adapter}`)
}

function setupOf({ workload, seed, load, warmUpMs, measuredMs, readTrace }: HttpRunPlan) {
  const blockSize = settingsOf(workload)[0]?.blockSize ?? 1
  return { seed, load, endMs: warmUpMs + measuredMs, blockSize, readTrace }
}

/** The gateway's defaults, but for the profile and times after which it would give up. */
function gatewayConfig(plan: HttpRunPlan, ports: readonly number[]): object {
  const { filters, scorers, picker } = plan.profile
  const adapters = adaptersOf(plan)
  return {
    listeners: [{ address: '127.0.0.1', port: 0 }],
    admin: { address: '127.0.0.1', port: 0 },
    threads: 1,
    exposeEndpoint: true,
    profiles: {
      lab: {
        filters: filters.map(({ type, parameters }) => ({ type, ...parameters })),
        scorers: scorers.map(({ type, weight, parameters }) => ({ type, weight, ...parameters })),
        picker: { type: picker.type, ...picker.parameters },
      },
    },
    models: {
      [model]: {
        engine: 'vllm',
        endpoints: ports.map((port) => `http://127.0.0.1:${port}`),
        ...(adapters.length === 0 ? {} : { adapters }),
        profile: 'lab',
        timeouts: { firstByte: '1h', idle: '1h' },
      },
    },
  }
}

/** Runs the same requests in virtual time with the gateway's scheduler, later arrivals only where `lateSeed` is given. */
export function runInVirtualTime(plan: HttpRunPlan, lateSeed?: number): readonly Served[] {
  const { workload, profile, seed, load, warmUpMs, measuredMs, readTrace } = plan
  const late = lateSeed === undefined ? workload : withLaterArrivals(workload, { mostMs: mostLateMs, seed: lateSeed })
  const arm = ownArm('own', '', profile)
  return serveArm({ arm, workload: late, seed, load, warmUpMs, measuredMs, readTrace }).map(servedFrom)
}
