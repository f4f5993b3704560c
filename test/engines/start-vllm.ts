import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { type RunningEngine, startEngine } from './engine-process.ts'

const root = join(import.meta.dirname, '..', '..')

/** A port that is free now. vLLM takes a fixed port and prints none. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

/**
 * Starts a real vLLM on the CPU with the tiny random model: served name `tiny`, adapters can be loaded at run time from
 * `$VLLM_DIR/model/adapters/{sql-lora,chat-lora,tweet-lora}`. `flags` are appended to `vllm serve`. Starting takes
 * about a minute. Undefined when test/engines/setup-vllm has not run: the test is then skipped.
 * INFER_GATEWAY_TEST_VLLM points to another directory than .cache/vllm.
 */
export async function startVllm(flags: readonly string[] = []): Promise<RunningEngine | undefined> {
  const directory = vllmDirectory()
  if (!existsSync(join(directory, 'ready'))) return undefined
  const port = await freePort()
  return startEngine({
    program: join(import.meta.dirname, 'serve-vllm'),
    args: [directory, String(port), ...flags],
    urlFromLog: () => `http://127.0.0.1:${port}`,
    startLimitMs: 300_000,
  })
}

/** Where test/engines/setup-vllm put the engine and its model: `venv/`, `model/`. */
export function vllmDirectory(): string {
  return process.env.INFER_GATEWAY_TEST_VLLM ?? join(root, '.cache', 'vllm')
}
