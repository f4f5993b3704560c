import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { posix } from 'node:path'

const imports = /^(?:import|export) (?!type )[^']*from '([#.][^']+\.ts)'/gm

/** Sources below `root` (of src/) that the given ones are made of, themselves among them; what is only a type does not count. */
function sourcesOf(root: URL, files: readonly string[]): readonly string[] {
  const found = new Set(files)
  // Grows while it is gone through.
  for (const file of found) {
    for (const [, name = ''] of readFileSync(new URL(file, root), 'utf8').matchAll(imports)) {
      found.add(name.startsWith('#') ? name.slice(1) : posix.join(posix.dirname(file), name))
    }
  }
  return [...found].toSorted()
}

/** A digest of the sources that some are made of. */
export function digestOfSources(root: URL, files: readonly string[]): string {
  const hash = createHash('sha256')
  for (const file of sourcesOf(root, files)) hash.update(`${file}\n`).update(readFileSync(new URL(file, root)))
  return hash.digest('hex').slice(0, 16)
}
