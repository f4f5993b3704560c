import { type ConfigProblem, maxProblems } from './problem.ts'

/** How problems are drawn. */
export interface RenderOptions {
  /** The word in front: `error` unless said otherwise. */
  readonly severity?: 'error' | 'warning'
  /** Whether ANSI colours are used. */
  readonly color?: boolean
}

/** Longer lines are cut around the place, so that a one-line JSON file does not fill the screen. */
const maxExcerpt = 120

type Paint = (text: string) => string

function painter(code: string, isOn: boolean): Paint {
  return isOn ? (text) => `\u001b[${code}m${text}\u001b[0m` : (text) => text
}

/** What is in `text` but no printable character, tab included, is drawn as a blank of equal width. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is replaced
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, ' ')
}

/** The part of a line that is shown, and where the underlined part begins in it. */
function cutAround(problem: ConfigProblem): { text: string; indent: number } {
  const { excerpt, column } = problem
  if (excerpt.length <= maxExcerpt) return { text: excerpt, indent: column - 1 }
  const start = Math.max(0, Math.min(column - 1 - 40, excerpt.length - maxExcerpt))
  const lead = start > 0 ? '…' : ''
  return { text: `${lead}${excerpt.slice(start, start + maxExcerpt)}`, indent: column - 1 - start + lead.length }
}

function renderOne(problem: ConfigProblem, severity: string, paints: { title: Paint; frame: Paint }): string {
  const { title, frame } = paints
  const place = problem.line === 0 ? problem.file : `${problem.file}:${problem.line}:${problem.column}`
  const gutter = ' '.repeat(String(problem.line).length)
  const lines = [
    `${title(`${severity}:`)} ${printable(problem.message)}`,
    `${gutter}${frame('-->')} ${place}${problem.path === '' ? '' : `  ${printable(problem.path)}`}`,
  ]
  if (problem.excerpt !== '') {
    const { text, indent } = cutAround(problem)
    const width = Math.max(1, Math.min(problem.width, text.length - indent))
    lines.push(`${frame(`${problem.line} |`)} ${printable(text)}`)
    lines.push(`${frame(`${gutter} |`)} ${' '.repeat(indent)}${title('^'.repeat(width))}`)
  }
  if (problem.hint !== undefined) lines.push(`${frame(`${gutter} =`)} ${printable(problem.hint)}`)
  return lines.join('\n')
}

/**
 * Problems as a person reads them in a terminal: each with its place, the line itself and a caret, in the order given,
 * a blank line between two; at most `maxProblems`, then a count. No line break at the end; '' when there are none.
 */
export function renderProblems(problems: readonly ConfigProblem[], options: RenderOptions = {}): string {
  const { severity = 'error', color = false } = options
  const paints = { title: painter(severity === 'error' ? '1;31' : '1;33', color), frame: painter('34', color) }
  const blocks = problems.slice(0, maxProblems).map((problem) => renderOne(problem, severity, paints))
  if (problems.length > maxProblems) blocks.push(`... and ${problems.length - maxProblems} more`)
  return blocks.join('\n\n')
}
