import type { SimOptions } from '#sim/options.ts'
import { type Sim, startSim } from '#sim/server.ts'

/** A set of simulated model servers that run in this thread. */
export interface Simulators {
  readonly sims: readonly Sim[]
  close(): Promise<void>
}

/** Starts simulated model servers; when one cannot start, those before it are stopped again. */
export async function startSimulators(plans: readonly SimOptions[]): Promise<Simulators> {
  const sims: Sim[] = []
  const close = async (): Promise<void> => {
    await Promise.all(sims.map((sim) => sim.close()))
  }
  try {
    for (const plan of plans) sims.push(await startSim(plan))
  } catch (caught) {
    await close()
    throw caught
  }
  return { sims, close }
}
