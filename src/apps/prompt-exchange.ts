import type { MessagePort } from 'node:worker_threads'
import type { ExactPorts, PromptQuestion } from '#contracts/schedule.ts'
import { type LearnedPrompt, LearnedPrompts } from '#struct/learned-prompts.ts'
import { defaultBlockBytes } from '#struct/prompt-hasher.ts'

/** What the data threads share of what engines tell of their caches. */
export interface ExactMemory {
  /** Of the index (struct/prefix-index.ts). */
  readonly memory: { readonly buffer: SharedArrayBuffer }
  /** One Int32 per slot: see ExactPorts. */
  readonly units: SharedArrayBuffer
}

/** A data thread's side: it asks for the tokens of prompts and remembers what is learned, by whichever thread. */
export function exactPorts({ memory, units }: ExactMemory, port: MessagePort): ExactPorts {
  const prompts = new LearnedPrompts({ blockBytes: defaultBlockBytes })
  port.on('message', (prompt: LearnedPrompt) => prompts.learn(prompt))
  // Prompts keep no thread alive.
  port.unref()
  return { memory, units: new Int32Array(units), prompts, ask: (question) => port.postMessage(question) }
}

/** The main thread's side: the ports of all data threads. */
export class PromptExchange {
  readonly #ports = new Set<MessagePort>()
  readonly #onQuestion: (question: PromptQuestion) => void

  constructor(onQuestion: (question: PromptQuestion) => void) {
    this.#onQuestion = onQuestion
  }

  add(port: MessagePort): void {
    this.#ports.add(port)
    port.on('message', (question: PromptQuestion) => this.#onQuestion(question))
    port.on('close', () => this.#ports.delete(port))
    port.unref()
  }

  /** Tells every thread. */
  learned(prompt: LearnedPrompt): void {
    for (const port of this.#ports) port.postMessage(prompt)
  }

  close(): void {
    for (const port of this.#ports) port.close()
    this.#ports.clear()
  }
}
