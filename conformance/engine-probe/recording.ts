import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connectEngine, type Engine } from './ask.ts'
import { llamacppQuestions } from './llamacpp-questions.ts'
import type { Question } from './question.ts'
import type { Shape } from './shape.ts'
import { vllmQuestions } from './vllm-questions.ts'

/** The engines a real one was recorded of. */
export type RecordedEngine = 'vllm' | 'llamacpp'

/** What an engine answered to each question, by the question's name. */
export type Recording = Readonly<Record<string, Shape>>

/** The questions of each engine, in order. */
export const questionsOf: Readonly<Record<RecordedEngine, readonly Question[]>> = {
  vllm: vllmQuestions,
  llamacpp: llamacppQuestions,
}

/** Asks an engine that runs at `url` everything, in order. `adapterPath` says where it finds adapters. */
export async function probeEngine(
  kind: RecordedEngine,
  url: string,
  adapterPath: (name: string) => string = (name) => `/adapters/${name}`,
): Promise<Recording> {
  const engine: Engine = connectEngine(url, adapterPath)
  try {
    const recording: Record<string, Shape> = {}
    for (const { name, ask } of questionsOf[kind]) recording[name] = await ask(engine)
    return recording
  } finally {
    engine.close()
  }
}

/** The committed answers of the real engine. */
export async function readRecording(kind: RecordedEngine): Promise<Recording> {
  return JSON.parse(await readFile(recordingFile(kind), 'utf8')) as Recording
}

/** Replaces the committed answers. */
export async function writeRecording(kind: RecordedEngine, recording: Recording): Promise<void> {
  await writeFile(recordingFile(kind), `${JSON.stringify(recording, undefined, 1)}\n`)
}

function recordingFile(kind: RecordedEngine): string {
  return join(import.meta.dirname, 'fixtures', `${kind}.json`)
}
