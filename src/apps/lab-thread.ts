import { parentPort, workerData } from 'node:worker_threads'
import { Fault } from '#core/fault.ts'
import { runTask } from '#lab/task.ts'
import { catalogueOf, type LabSources } from './lab-catalogue.ts'
import type { LabAnswer, LabOrder } from './lab-pool.ts'

/** Entry of a thread that runs one task after the other. */
function main(sources: LabSources): void {
  const port = parentPort
  if (port === null) throw new Error('this module is the entry of a worker thread')
  const catalogue = catalogueOf(sources)
  port.on('message', ({ id, task }: LabOrder) => {
    const send = (answer: LabAnswer): void => port.postMessage(answer)
    try {
      send({ id, metrics: runTask(task, catalogue) })
    } catch (caught) {
      const isUsage = caught instanceof Fault && caught.source === 'client'
      send({ id, isUsage, error: caught instanceof Error ? caught.message : String(caught) })
    }
  })
}

main(workerData as LabSources)
