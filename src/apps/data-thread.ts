import { MessageChannel, parentPort, workerData } from 'node:worker_threads'
import { seededRng, systemClock } from '#core/clock.ts'
import { portSink } from '#observe/log-sink.ts'
import type { DataCommand, DataEvent, DataThreadData } from './data-messages.ts'
import { DataPlane, type OpenListener } from './data-plane.ts'

/** Entry of a data thread: a data plane that is told what to do by messages. */
async function main(data: DataThreadData): Promise<void> {
  const port = parentPort
  if (port === null) throw new Error('this module is the entry of a worker thread')
  const send = (event: DataEvent): void => port.postMessage(event)
  const log = new MessageChannel()
  port.postMessage({ kind: 'log-port', port: log.port2 }, [log.port2])
  const plane = new DataPlane(data.snapshot, data.adapterIds, {
    thread: data.thread,
    endpoints: data.endpoints,
    metrics: data.metrics,
    clock: systemClock(),
    rng: seededRng(data.seed),
    accessSink: portSink(log.port1),
    onSeries: (series) => send({ kind: 'series', series }),
    onFault: (fault, requestId) => send({ kind: 'fault', message: fault.message, stack: fault.stack, requestId }),
  })
  let listeners: readonly OpenListener[] = []
  const run = async (command: DataCommand): Promise<void> => {
    if (command.kind === 'apply') listeners = await plane.apply(command.snapshot, command.adapterIds)
    else if (command.kind === 'drain') await plane.drain()
    else await plane.close()
  }
  port.on('message', (command: DataCommand) => {
    run(command).then(
      () => send({ kind: 'done', id: command.id, listeners, error: undefined }),
      (error: Error) => send({ kind: 'done', id: command.id, listeners, error: error.message }),
    )
  })
  try {
    listeners = await plane.listen()
    send({ kind: 'started', listeners })
  } catch (caught) {
    const error = caught as NodeJS.ErrnoException
    send({ kind: 'failed', message: error.message, code: error.code })
  }
}

await main(workerData as DataThreadData)
