/**
 * Writes the generated parts of the documentation; `--check` writes nothing and exits with 1 naming what is stale.
 * A new page of docs/reference/ is a line in generate/references.ts; another generated part is a Generator listed here.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { faultTable } from './generate/fault-table.ts'
import { type Generator, replaceMarked } from './generate/generator.ts'
import { importTable } from './generate/import-table.ts'
import { references } from './generate/references.ts'

const generators: readonly Generator[] = [importTable, faultTable, ...references]

async function main(isCheck: boolean): Promise<number> {
  const stale: string[] = []
  for (const generator of generators) {
    const { file, marker } = generator
    const current = await readFile(file, 'utf8').catch(() => undefined)
    const rendered = `${(await generator.render()).trim()}\n`
    const wanted = marker === undefined ? rendered : replaceMarked(current ?? '', marker, rendered)
    if (wanted === undefined) {
      stale.push(`${file}: has no '<!-- generated:${marker} -->' ... '<!-- /generated:${marker} -->'`)
    } else if (wanted !== current && isCheck) {
      stale.push(`${file}: stale, run 'npm run generate'`)
    } else if (wanted !== current) {
      await mkdir(dirname(file), { recursive: true })
      await writeFile(file, wanted)
      console.log(`${file}: written`)
    }
  }
  for (const line of stale) console.log(line)
  return stale.length > 0 ? 1 : 0
}

process.exitCode = await main(process.argv.includes('--check'))
