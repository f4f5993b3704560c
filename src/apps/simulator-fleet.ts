import { Worker } from 'node:worker_threads'
import { Fault } from '#core/fault.ts'
import type { SimOptions } from '#sim/options.ts'

/** Simulated model servers in a thread of their own. */
export interface SimulatorFleet {
  /** Ports they listen on, in the order of the plans. */
  readonly ports: readonly number[]
  /** CPU time the thread has used so far. */
  cpuMs(): Promise<number>
  /** Stops them and ends the thread. */
  close(): Promise<void>
}

/** What the thread says of itself. */
export type FleetEvent =
  | { readonly kind: 'started'; readonly ports: readonly number[] }
  | { readonly kind: 'failed'; readonly message: string }

/** Starts simulated model servers in one thread. Rejects with a Fault when one of them cannot start. */
export function startSimulatorFleet(plans: readonly SimOptions[]): Promise<SimulatorFleet> {
  const worker = new Worker(new URL('./simulator-thread.ts', import.meta.url), {
    workerData: plans,
    name: 'simulators',
  })
  const close = async (): Promise<void> => {
    const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
    worker.postMessage('close')
    await ended
  }
  const cpuMs = async (): Promise<number> => {
    const { user, system } = await worker.cpuUsage()
    return (user + system) / 1e3
  }
  return new Promise((resolve, reject) => {
    worker.once('error', reject)
    worker.once('message', (event: FleetEvent) => {
      if (event.kind === 'started') resolve({ ports: event.ports, cpuMs, close })
      else reject(new Fault('self', `a simulated model server cannot start: ${event.message}`))
    })
  })
}
