/**
 * Loaded into a gateway before its own code (NODE_OPTIONS=--import), in each of its threads: kills or blocks a data
 * thread when it is told to by a file. For tests of how the others bear it.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { workerData } from 'node:worker_threads'

const variable = 'SABOTAGE_FILE'

/** What can be done to a data thread. */
export type Sabotage = 'throw' | 'out-of-memory' | 'hang'

/** Environment of a gateway that can be sabotaged by what is written to `file`. */
export function sabotageEnv(file: string): Readonly<Record<string, string>> {
  return { NODE_OPTIONS: `--import ${fileURLToPath(import.meta.url)}`, [variable]: file }
}

/** Has it done to a thread; a hanging thread comes back after `forMs`. */
export function sabotage(file: string, thread: string, what: Sabotage, forMs = 0): void {
  writeFileSync(file, `${thread} ${what} ${forMs}`)
}

const file = process.env[variable]
const name = (workerData as { readonly thread?: string } | null)?.thread
if (file !== undefined && name !== undefined) setInterval(() => obey(file, name), 20).unref()

function obey(path: string, thread: string): void {
  const [whom, what, forMs] = orderIn(path)
  if (whom !== thread) return
  rmSync(path)
  if (what === 'throw') throw new Error('sabotage')
  if (what === 'out-of-memory')
    for (const hoard: unknown[] = []; ; ) hoard.push(Array.from({ length: 10_000 }, () => ({})))
  for (const untilMs = performance.now() + Number(forMs); performance.now() < untilMs; );
}

function orderIn(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split(' ')
  } catch {
    return []
  }
}
