import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'

/** Writes the id of this process to a file, in one step for whoever reads it. Throws the system's error. */
export function writePidFile(path: string, pid: number): void {
  const next = `${path}.${pid}`
  writeFileSync(next, `${pid}\n`)
  renameSync(next, path)
}

/** Takes the file away, unless another process has written itself into it since. */
export function removePidFile(path: string, pid: number): void {
  try {
    if (readFileSync(path, 'utf8').trim() === String(pid)) rmSync(path)
  } catch {
    // It is gone already: what was to be.
  }
}
