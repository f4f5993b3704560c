import { parentPort, workerData } from 'node:worker_threads'
import type { SimOptions } from '#sim/options.ts'
import type { FleetEvent } from './simulator-fleet.ts'
import { startSimulators } from './simulators.ts'

/** Entry of a thread that runs simulated model servers, away from everything else. */
const port = parentPort
if (port === null) throw new Error('this module is the entry of a worker thread')
const say = (event: FleetEvent): void => port.postMessage(event)
try {
  const simulators = await startSimulators(workerData as readonly SimOptions[])
  port.on('message', () => void simulators.close().then(() => port.close()))
  say({ kind: 'started', ports: simulators.sims.map((sim) => sim.port) })
} catch (caught) {
  say({ kind: 'failed', message: caught instanceof Error ? caught.message : String(caught) })
  port.close()
}
