import { Worker } from 'node:worker_threads'
import { Fault } from '#core/fault.ts'
import type { RunMetrics } from '#lab/run-metrics.ts'
import { localRunner, type Runner, type RunTask } from '#lab/task.ts'
import { catalogueOf, type LabSources } from './lab-catalogue.ts'

/** A task on its way to a thread. */
export interface LabOrder {
  readonly id: number
  readonly task: RunTask
}

/** What a thread says of a task. */
export type LabAnswer =
  | { readonly id: number; readonly metrics: RunMetrics }
  | {
      readonly id: number
      readonly error: string
      /** Whether what was asked for is at fault. */
      readonly isUsage: boolean
    }

/** A runner that has threads, until it is closed. */
export interface LabPool extends Runner {
  /** Ends the threads; runs under way are given up. */
  close(): Promise<void>
}

interface Waiting extends LabOrder {
  readonly resolve: (metrics: RunMetrics) => void
  readonly reject: (error: Error) => void
}

/** Starts a runner with so many threads; one runs in the thread it is called from. What runs give does not depend on the number. */
export function startLabPool(jobs: number, sources: LabSources): LabPool {
  if (jobs > 1) return new ThreadPool(jobs, sources)
  return { ...localRunner(catalogueOf(sources)), close: () => Promise.resolve() }
}

class ThreadPool implements LabPool {
  readonly #workers: readonly Worker[]
  readonly #idle: Worker[]
  readonly #queue: Waiting[] = []
  readonly #running = new Map<Worker, Waiting>()
  #orders = 0
  #alive: number

  constructor(jobs: number, sources: LabSources) {
    this.#alive = jobs
    this.#workers = Array.from({ length: jobs }, () => this.#start(sources))
    this.#idle = [...this.#workers]
  }

  run(task: RunTask): Promise<RunMetrics> {
    return new Promise((resolve, reject) => {
      if (this.#alive === 0) return reject(new Fault('self', 'every thread of the laboratory has died'))
      this.#queue.push({ id: this.#orders++, task, resolve, reject })
      this.#next()
    })
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
  }

  #start(sources: LabSources): Worker {
    const worker = new Worker(new URL('./lab-thread.ts', import.meta.url), { workerData: sources })
    worker.on('message', (answer: LabAnswer) => this.#settle(worker, answer))
    worker.on('error', (error: Error) => this.#lost(worker, error))
    return worker
  }

  /** A thread that dies takes its task with it; the others go on, and the last one takes all that wait. */
  #lost(worker: Worker, error: Error): void {
    this.#alive--
    this.#running.get(worker)?.reject(error)
    this.#running.delete(worker)
    const index = this.#idle.indexOf(worker)
    if (index >= 0) this.#idle.splice(index, 1)
    if (this.#alive > 0) return
    for (const waiting of this.#queue.splice(0)) waiting.reject(error)
  }

  #settle(worker: Worker, answer: LabAnswer): void {
    const waiting = this.#running.get(worker)
    this.#running.delete(worker)
    this.#idle.push(worker)
    this.#next()
    if (waiting === undefined || waiting.id !== answer.id) return
    if ('metrics' in answer) waiting.resolve(answer.metrics)
    else waiting.reject(new Fault(answer.isUsage ? 'client' : 'self', answer.error))
  }

  #next(): void {
    while (this.#idle.length > 0 && this.#queue.length > 0) {
      const worker = this.#idle.pop()
      const waiting = this.#queue.shift()
      if (worker === undefined || waiting === undefined) return
      this.#running.set(worker, waiting)
      worker.postMessage({ id: waiting.id, task: waiting.task } satisfies LabOrder)
    }
  }
}
