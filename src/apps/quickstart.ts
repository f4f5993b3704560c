import { Worker } from 'node:worker_threads'
import { Fault } from '#core/fault.ts'
import type { SimOptions } from '#sim/options.ts'

/** The model of the quick start: examples/quickstart.yaml names the same. */
const model = 'llama-3.1-8b'
const adapters = ['sql', 'chat']

/** The fleet of examples/quickstart.yaml: two vLLM servers and one SGLang server for one base model. */
const fleet: readonly SimOptions[] = [
  { engine: 'vllm', port: 8101, models: [model], adapters, ttftMs: 60, tpotMs: 15, seed: 1 },
  { engine: 'vllm', port: 8102, models: [model], adapters, ttftMs: 60, tpotMs: 15, seed: 2 },
  { engine: 'sglang', port: 8103, models: [model], adapters, ttftMs: 50, tpotMs: 18, seed: 3 },
]

/** Configuration that `infer-gateway serve` uses when it is given none. */
export const quickstartFile: URL = new URL('../../examples/quickstart.yaml', import.meta.url)

/** Starts the simulated fleet in a thread of its own; resolves with the function that stops it. */
export function startQuickstartFleet(): Promise<() => Promise<void>> {
  const worker = new Worker(new URL('./simulator-thread.ts', import.meta.url), {
    workerData: fleet,
    name: 'simulators',
  })
  const stop = async (): Promise<void> => {
    const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
    worker.postMessage('close')
    await ended
  }
  return new Promise((resolve, reject) => {
    worker.once('error', reject)
    worker.once('message', (event: { kind: string; message?: string }) => {
      if (event.kind === 'started') resolve(stop)
      else reject(new Fault('self', `a simulated model server cannot start: ${event.message ?? 'unknown reason'}`))
    })
  })
}
