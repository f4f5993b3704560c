import { MessageChannel, parentPort, workerData } from 'node:worker_threads'
import { seededRng, systemClock } from '#core/clock.ts'
import { portSink } from '#observe/log-sink.ts'
import type { DataCommand, DataEvent, DataThreadData, ListenFailure } from './data-messages.ts'
import { DataPlane } from './data-plane.ts'
import { exactPorts } from './prompt-exchange.ts'

/** Entry of a data thread: a data plane that is told what to do by messages. */
function main(data: DataThreadData): void {
  const port = parentPort
  if (port === null) throw new Error('this module is the entry of a worker thread')
  const send = (event: DataEvent): void => port.postMessage(event)
  const log = new MessageChannel()
  port.postMessage({ kind: 'log-port', port: log.port2 }, [log.port2])
  const prompts = new MessageChannel()
  port.postMessage({ kind: 'prompt-port', port: prompts.port2 }, [prompts.port2])
  const plane = new DataPlane(data.snapshot, data.adapterIds, {
    ...data,
    exact: exactPorts(data.exact, prompts.port1),
    clock: systemClock(),
    rng: seededRng(data.seed),
    accessSink: portSink(log.port1),
    onSeries: (series) => send({ kind: 'series', series }),
    onFault: (fault, requestId) => send({ kind: 'fault', message: fault.message, stack: fault.stack, requestId }),
  })
  const run = async (command: Exclude<DataCommand, { kind: 'decisions' }>): Promise<readonly ListenFailure[]> => {
    if (command.kind === 'listen') return plane.listen(command.sockets)
    if (command.kind === 'apply') return plane.apply(command.snapshot, command.adapterIds, command.sockets)
    await (command.kind === 'drain' ? plane.drain() : plane.close())
    return []
  }
  const settle = async (command: Exclude<DataCommand, { kind: 'decisions' }>): Promise<void> => {
    let failures: readonly ListenFailure[] = []
    let error: string | undefined
    try {
      failures = await run(command)
    } catch (caught) {
      error = caught instanceof Error ? caught.message : String(caught)
    }
    send({ kind: 'done', id: command.id, listeners: plane.listeners, failures, error })
  }
  /** Listeners are opened and closed by one command after the other; the end waits for none of them. */
  let before: Promise<void> = Promise.resolve()
  port.on('message', (command: DataCommand) => {
    if (command.kind === 'decisions') send({ kind: 'decided', id: command.id, answer: plane.decisions(command.query) })
    else if (command.kind === 'listen' || command.kind === 'apply') before = before.then(() => settle(command))
    else void settle(command)
  })
  send({ kind: 'loaded' })
}

main(workerData as DataThreadData)
