import type { z } from 'zod'
import { nearest } from '#struct/edit-distance.ts'
import { type ConfigDocument, problemAt } from './config-document.ts'
import type { ConfigProblem, KeyPath } from './problem.ts'
import { formOf } from './schema/scalars.ts'

/** Names listed in a hint. */
const maxListed = 24

/** `did you mean 'x'?`, or the list of what could be meant when it is short; undefined when there is nothing to say. */
export function hintFor(name: string, candidates: readonly string[], what: string): string | undefined {
  const near = nearest(name, candidates)
  if (near !== undefined) return `did you mean '${near}'?`
  if (candidates.length === 0) return undefined
  const listed = candidates.slice(0, maxListed).join(', ')
  return `${what}: ${listed}${candidates.length > maxListed ? `, and ${candidates.length - maxListed} more` : ''}`
}

/** What a schema found wrong with a part of a document, in words; `under` leads to that part. */
export function issueProblems(
  document: ConfigDocument,
  issues: readonly z.core.$ZodIssue[],
  under: KeyPath = [],
): ConfigProblem[] {
  return issues.flatMap((issue) => problemsOf(document, issue, [...under, ...issue.path.map(plainKey)]))
}

function plainKey(key: PropertyKey): string | number {
  return typeof key === 'number' ? key : String(key)
}

function problemsOf(document: ConfigDocument, issue: z.core.$ZodIssue, path: KeyPath): ConfigProblem[] {
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = knownKeys(issue.message)
      return issue.keys.map((key) =>
        problemAt(document, [...path, key], `unknown key '${key}'`, {
          spot: 'key',
          hint: hintFor(key, known, 'keys that stand here'),
        }),
      )
    }
    case 'invalid_value': {
      const words = issue.values.map(String)
      const value = valueAt(document.value, path)
      const hint = typeof value === 'string' ? hintFor(value, words, 'one of') : undefined
      return [problemAt(document, path, `${nameOf(path)} must be one of ${words.join(', ')}`, { hint: onlyNear(hint) })]
    }
    case 'invalid_type':
      return [problemAt(document, path, typeMessage(document, issue.expected, path))]
    case 'too_small':
    case 'too_big':
      return [problemAt(document, path, `${nameOf(path)} ${countMessage(issue)}`)]
    default:
      return [problemAt(document, path, `${nameOf(path)} ${issue.message}`)]
  }
}

/** The list of choices is part of the message already. */
function onlyNear(hint: string | undefined): string | undefined {
  return hint?.startsWith('did you mean') === true ? hint : undefined
}

function knownKeys(message: string): readonly string[] {
  return message.startsWith('[') ? (JSON.parse(message) as string[]) : []
}

/** The last key of a path in quotes, with its index when it is an item. */
function nameOf(path: KeyPath): string {
  const last = path.at(-1)
  if (last === undefined) return 'the document'
  return typeof last === 'number' ? `item ${last + 1} of '${String(path.at(-2) ?? '')}'` : `'${last}'`
}

const expectedWords: Readonly<Record<string, string>> = {
  object: 'a mapping',
  record: 'a mapping',
  array: 'a list',
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
}

function typeMessage(document: ConfigDocument, expected: string, path: KeyPath): string {
  const value = valueAt(document.value, path)
  const form = formOf(value)
  const wanted = expectedWords[expected] ?? expected
  if (form === 'nothing') return `${nameOf(path)} is ${value === null ? 'empty' : 'missing'}: it must be ${wanted}`
  return `${nameOf(path)} must be ${wanted}, not ${form === 'text' ? 'text' : `a ${form}`}`
}

function countMessage(issue: z.core.$ZodIssueTooBig | z.core.$ZodIssueTooSmall): string {
  const isBig = issue.code === 'too_big'
  if (issue.origin === 'number' || issue.origin === 'int') {
    const relation = issue.inclusive === false ? (isBig ? 'less than' : 'more than') : `at ${isBig ? 'most' : 'least'}`
    return `must be ${relation} ${isBig ? issue.maximum : issue.minimum}`
  }
  const bound = Number(isBig ? issue.maximum : issue.minimum)
  const unit =
    issue.origin === 'array' ? `item${bound === 1 ? '' : 's'}` : issue.origin === 'string' ? 'characters' : ''
  if (!isBig && bound === 1 && unit !== '') return 'must not be empty'
  return `must have at ${isBig ? 'most' : 'least'} ${bound} ${unit}`.trimEnd()
}

/** The value at a path of plain data. */
export function valueAt(value: unknown, path: KeyPath): unknown {
  let current = value
  for (const key of path) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, key)) return undefined
    current = (current as Record<string | number, unknown>)[key]
  }
  return current
}
