import { confinements, layers } from '#test/architecture.ts'
import { type Generator, markdownTable } from './generator.ts'

const code = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(' ')

/** Folder names with every complete layer replaced by the layer's name in italics. */
function withLayerNames(folders: readonly string[]): string {
  const names = [...new Set(layers.map(({ name }) => name))]
  const complete = names.flatMap((name) => {
    const own = layers.filter((layer) => layer.name === name).flatMap((layer) => layer.folders)
    return own.length > 1 && own.every((folder) => folders.includes(folder)) ? [{ name, own }] : []
  })
  const rest = folders.filter((folder) => !complete.some(({ own }) => own.includes(folder)))
  return [...complete.map(({ name }) => `*${name}*`), code(rest)].join(' ').trim() || 'nothing'
}

/** The import table of ARCHITECTURE.md, from the data that test/architecture.test.ts enforces. */
export const importTable: Generator = {
  file: 'ARCHITECTURE.md',
  marker: 'import-table',
  render() {
    const rows = layers.map((layer) => [layer.name, code(layer.folders), withLayerNames(layer.mayImport)])
    const confined = confinements.map((confinement) => [code(confinement.modules), code(confinement.to)])
    return [
      markdownTable(['layer', 'folders', 'may import'], rows),
      markdownTable(['module', 'only in'], confined),
    ].join('\n\n')
  },
}
