import { type ConfigDocument, type ProblemDetails, problemAt } from '#config/config-document.ts'
import type { ConfigProblem, KeyPath } from '#config/problem.ts'

/** What a translation collects on its way: it goes on after a problem, so that all are told at once. */
export interface Findings {
  readonly problems: ConfigProblem[]
  readonly warnings: ConfigProblem[]
}

/** A part of a document: where problems with it are shown. */
export interface Spot {
  readonly document: ConfigDocument
  readonly path: KeyPath
}

/** A part of that part. */
export function below({ document, path }: Spot, ...keys: (string | number)[]): Spot {
  return { document, path: [...path, ...keys] }
}

/** Notes a problem. */
export function complain(findings: Findings, spot: Spot, message: string, details?: ProblemDetails): void {
  findings.problems.push(problemAt(spot.document, spot.path, message, details))
}

/** Notes what is probably not what was meant. */
export function warn(findings: Findings, spot: Spot, message: string, details?: ProblemDetails): void {
  findings.warnings.push(problemAt(spot.document, spot.path, message, details))
}

/** `file, line N` of a spot, for messages that name a second place. */
export function placeText({ document, path }: Spot): string {
  const { file, line } = document.place(path, 'key')
  return `${file}, line ${line}`
}
