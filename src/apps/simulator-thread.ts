import { parentPort, workerData } from 'node:worker_threads'
import type { SimOptions } from '#sim/options.ts'
import { startSimulators } from './simulators.ts'

/** Entry of the thread that runs the simulated model servers of the quick start, away from the gateway's threads. */
const port = parentPort
if (port === null) throw new Error('this module is the entry of a worker thread')
try {
  const simulators = await startSimulators(workerData as readonly SimOptions[])
  port.on('message', () => void simulators.close().then(() => port.close()))
  port.postMessage({ kind: 'started' })
} catch (caught) {
  port.postMessage({ kind: 'failed', message: caught instanceof Error ? caught.message : String(caught) })
  port.close()
}
