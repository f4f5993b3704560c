import { readFileSync } from 'node:fs'
import { type Ending, type FaultRow, faultRows } from '#test/chaos/faults.ts'
import { type Generator, markdownTable } from './generator.ts'

/** The part of docs/figures/chaos-memory.json that is shown. */
interface ChaosFigures {
  /** By fault, then by ending. */
  readonly endings: Readonly<Record<string, Readonly<Record<string, number>>>>
}

const words: Readonly<Partial<Record<Ending, string>>> = {
  whole: 'the answer, byte for byte',
  'error-event': 'what came, then an error event (streams)',
  cut: 'what came, then a cut connection (JSON)',
}

function endingsOf({ name, ends, elsewhere = false }: FaultRow): string {
  const texts = ends.map((ending) => words[ending] ?? `\`${ending}\``)
  const answer = /^(status|refuses)/.test(name)
    ? texts.map((text) => text.replace('the answer', "the engine's no"))
    : texts
  return elsewhere ? `another engine's answer, or ${answer.join(', or ')}` : answer.join(', or ')
}

function count(figures: ChaosFigures, name: string): string {
  const seen = Object.values(figures.endings[name] ?? {}).reduce((sum, value) => sum + value, 0)
  return seen.toLocaleString('en-US')
}

/** What clients get of engines that fail: the table that the chaos suite holds every answer against. */
export const faultTable: Generator = {
  file: 'docs/resilience.md',
  marker: 'fault-table',
  render() {
    const figures = JSON.parse(readFileSync('docs/figures/chaos-memory.json', 'utf8')) as ChaosFigures
    const rows = faultRows.map((row) => [row.means, endingsOf(row), count(figures, row.name)])
    return markdownTable(['an engine that', 'gives the client', 'seen'], rows)
  },
}
