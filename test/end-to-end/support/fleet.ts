import type { SimOptions } from '#sim/options.ts'
import { type Sim, startSim } from '#sim/server.ts'
import { type Config, RunningGateway, type StartOptions } from './gateway.ts'

/** Simulated model servers (in this process) and a gateway (in its own) in front of them. */
export interface Fleet {
  readonly gateway: RunningGateway
  readonly sims: readonly Sim[]
  /** The first of them. */
  readonly sim: Sim
  /** Stops everything; throws when the gateway did not end in order. */
  close(): Promise<void>
}

/** What a fleet is made of. */
export interface FleetPlan {
  /** Default: one vLLM that serves `tiny`, quickly. */
  readonly sims?: readonly SimOptions[]
  /** Configuration of the gateway; by default every simulated server is an endpoint of `tiny`. */
  readonly config?: (sims: readonly Sim[]) => Config
  /** How the gateway is started. */
  readonly start?: StartOptions
}

/** Time to the first token and between tokens that makes tests quick and still tells streams from single answers. */
export const quick = { models: ['tiny'], ttftMs: 5, tpotMs: 1 } as const

/** The short form of one model on some servers. */
export function modelOn(sims: readonly Sim[], more: Config = {}): Config {
  return { engine: sims[0]?.engine ?? 'vllm', endpoints: sims.map(({ url }) => url), ...more }
}

/** Starts a fleet. */
export async function startFleet(plan: FleetPlan = {}): Promise<Fleet> {
  const sims: Sim[] = []
  const closeSims = async (): Promise<void> => {
    await Promise.all(sims.map((sim) => sim.close()))
  }
  try {
    for (const options of plan.sims ?? [quick]) sims.push(await startSim({ ...quick, ...options }))
    const config = plan.config ?? ((all: readonly Sim[]) => ({ models: { tiny: modelOn(all) } }))
    const gateway = await RunningGateway.start(config(sims), plan.start)
    const close = async (): Promise<void> => {
      try {
        await gateway.close()
      } finally {
        await closeSims()
      }
    }
    const [sim] = sims
    if (sim === undefined) throw new Error('a fleet has at least one server')
    return { gateway, sims, sim, close }
  } catch (error) {
    await closeSims()
    throw error
  }
}

/** Runs `test` with a fleet of its own. */
export async function withFleet(plan: FleetPlan, test: (fleet: Fleet) => Promise<void>): Promise<void> {
  const fleet = await startFleet(plan)
  try {
    await test(fleet)
  } catch (error) {
    await fleet.close().catch(() => {})
    throw error
  }
  await fleet.close()
}

/** What a simulated server last received. */
export interface Arrival {
  readonly method: string
  readonly target: string
  readonly headers: Readonly<Record<string, string>>
  readonly headerList: readonly (readonly [string, string])[]
  readonly body: Buffer
}

/** The last requests that reached a server, oldest first; at most 64. */
export async function arrivalsAt(sim: Sim): Promise<Arrival[]> {
  const response = await fetch(`${sim.url}/sim/last-requests`)
  const list = (await response.json()) as (Omit<Arrival, 'body'> & { readonly bodyBase64: string })[]
  return list.map(({ bodyBase64, ...arrival }) => ({ ...arrival, body: Buffer.from(bodyBase64, 'base64') }))
}

/** The very last request that reached a server. */
export async function lastArrival(sim: Sim): Promise<Arrival> {
  const arrival = (await arrivalsAt(sim)).at(-1)
  if (arrival === undefined) throw new Error('nothing has arrived')
  return arrival
}
