import { type Sim, startSim } from '#sim/server.ts'
import { probeEngine, type RecordedEngine, type Recording } from './recording.ts'

/** Starts the simulator as the recorded engine was started, on a free port. */
function startAs(kind: RecordedEngine): Promise<Sim> {
  const common = { engine: kind, models: ['tiny'], ttftMs: 2, tpotMs: 0.1 }
  if (kind === 'llamacpp')
    return startSim({ ...common, maxModelLen: 4096, maxNumSeqs: 2, kvBlocks: 8192, blockSize: 1 })
  return startSim({
    ...common,
    maxModelLen: 8192,
    maxNumSeqs: 16,
    blockSize: 32,
    kvBlocks: 32_768,
    maxLoras: 2,
    maxQueuedReqs: 12,
    echoRequestId: true,
  })
}

/** Asks the simulator what the real engine was asked. */
export async function probeSimulator(kind: RecordedEngine): Promise<Recording> {
  const sim = await startAs(kind)
  try {
    return await probeEngine(kind, sim.url)
  } finally {
    await sim.close()
  }
}
