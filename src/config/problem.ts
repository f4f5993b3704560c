/** Keys and indexes from the top of a document to a value. */
export type KeyPath = readonly (string | number)[]

/** Where in a file something is, and what its line looks like. */
export interface SourcePlace {
  readonly file: string
  /** From 1; 0 when the problem is with the file as a whole. */
  readonly line: number
  /** From 1, in UTF-16 units; 0 when the problem is with the file as a whole. */
  readonly column: number
  /** Units to underline, at least 1, within the line. */
  readonly width: number
  /** The line, with secrets blanked; '' when there is none to show. */
  readonly excerpt: string
}

/** One thing that is wrong with a configuration, or, as a warning, probably not what was meant. */
export interface ConfigProblem extends SourcePlace {
  /** Where in the document: `models.llama.endpoints[1]`; '' for the document itself. */
  readonly path: string
  /** What is wrong, without secrets. */
  readonly message: string
  /** What to do about it. */
  readonly hint?: string
}

/** Most problems listed at once; what follows is mostly caused by what stands before. */
export const maxProblems = 100

/** Writes a path as people read it; keys that are no plain words stand in brackets. */
export function formatPath(path: KeyPath): string {
  let text = ''
  for (const key of path) {
    if (typeof key === 'number') text += `[${key}]`
    else if (/^[\w-]+$/.test(key)) text += text === '' ? key : `.${key}`
    else text += `[${JSON.stringify(key)}]`
  }
  return text
}

/** A problem with a file as a whole. */
export function fileProblem(file: string, message: string, hint?: string): ConfigProblem {
  const problem = { file, line: 0, column: 0, width: 1, excerpt: '', path: '', message }
  return hint === undefined ? problem : { ...problem, hint }
}

function compareProblems(a: ConfigProblem, b: ConfigProblem): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1
  return a.line - b.line || a.column - b.column || (a.message < b.message ? -1 : a.message > b.message ? 1 : 0)
}

/** In order of file, line and column, each once. */
export function sortProblems(problems: readonly ConfigProblem[]): ConfigProblem[] {
  const seen = new Set<string>()
  return problems.toSorted(compareProblems).filter((problem) => {
    const key = `${problem.file}\n${problem.line}:${problem.column}\n${problem.path}\n${problem.message}`
    return !seen.has(key) && seen.add(key)
  })
}
