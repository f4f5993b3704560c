import { spawn } from 'node:child_process'
import { once } from 'node:events'

/** How a program ended and what it wrote. */
export interface RunResult {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** Runs a program to its end, within `limitMs`. */
export async function run(program: string, args: readonly string[], limitMs = 60_000): Promise<RunResult> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: limitMs })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, out, err }
}
