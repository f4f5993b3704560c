import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type RunningEngine, startEngine } from './engine-process.ts'

const root = join(import.meta.dirname, '..', '..')

/**
 * Starts llama.cpp's own server on the tiny random model, on a free port. Served name `tiny`; 8192 tokens of context
 * over `slots` slots (default 2); further requests queue. Undefined when scripts/install-test-tools has not installed
 * it: the test is then skipped. INFER_GATEWAY_TEST_VENV and INFER_GATEWAY_TEST_GGUF point elsewhere.
 */
export async function startLlama(slots = 2): Promise<RunningEngine | undefined> {
  const program = join(process.env.INFER_GATEWAY_TEST_VENV ?? join(root, '.cache', 'venv'), 'bin', 'python')
  const model = process.env.INFER_GATEWAY_TEST_GGUF ?? join(root, '.cache', 'llama', 'tiny.gguf')
  if (!existsSync(program) || !existsSync(model)) return undefined
  return startEngine({
    program,
    args: [join(import.meta.dirname, 'llama_serve.py'), model, '0', String(slots)],
    urlFromLog: (log) => /^listening (http:\S+)$/m.exec(log)?.[1],
    startLimitMs: 60_000,
  })
}
