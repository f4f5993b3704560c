import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { Fault } from '#core/fault.ts'

/** Writes the id of this process to a file, in one step for whoever reads it. Throws a Fault when it cannot. */
export function writePidFile(path: string, pid: number): void {
  const next = `${path}.${pid}`
  try {
    writeFileSync(next, `${pid}\n`)
    renameSync(next, path)
  } catch (caught) {
    rmSync(next, { force: true })
    throw new Fault('self', `the file of --pid-file cannot be written: ${(caught as Error).message}`)
  }
}

/** Takes the file away, unless another process has written itself into it since. */
export function removePidFile(path: string, pid: number): void {
  try {
    if (readFileSync(path, 'utf8').trim() === String(pid)) rmSync(path)
  } catch {
    // It is gone already: what was to be.
  }
}
