import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type ConfigProblem, fileProblem } from './problem.ts'

/** Greatest size of one file of a configuration. */
export const maxFileBytes = 4 * 1024 * 1024

/** Most files of one directory. */
export const maxFiles = 1000

/** One file as read. */
export interface SourceText {
  /** As in messages: the path given, or the directory given and the file's name. */
  readonly file: string
  readonly text: string
}

/** What could be read of a source. */
export interface ReadSource {
  /** In the order of their names. */
  readonly texts: readonly SourceText[]
  readonly problems: readonly ConfigProblem[]
}

/** A file of text, or why there is none, in words that follow "FILE ". */
export type FileText = { readonly text: string } | { readonly fails: string }

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  EACCES: 'may not be read by this user',
  EPERM: 'may not be read by this user',
  EISDIR: 'is a directory',
  ENOTDIR: 'has a file where its path needs a directory',
  ELOOP: 'is a loop of symbolic links',
}

function reasonOf(error: unknown): string {
  const code = (error as { code?: unknown }).code
  return (typeof code === 'string' ? reasons[code] : undefined) ?? `cannot be read (${String(code)})`
}

/** Reads a file of UTF-8 text of at most `maxFileBytes`. */
export function readTextFile(path: string): FileText {
  try {
    const stats = statSync(path)
    if (!stats.isFile()) return { fails: stats.isDirectory() ? 'is a directory' : 'is not a plain file' }
    if (stats.size > maxFileBytes) return { fails: `has ${stats.size} bytes; at most ${maxFileBytes} are read` }
    const bytes = readFileSync(path)
    if (bytes.length > maxFileBytes) return { fails: `has more than ${maxFileBytes} bytes` }
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) }
  } catch (error) {
    return { fails: error instanceof TypeError ? 'is not UTF-8 text' : reasonOf(error) }
  }
}

/**
 * Reads a file, or of a directory every `*.yaml`, `*.yml` and `*.json` in it, in the order of their names. Not what lies
 * in further directories: Kubernetes mounts volumes with hidden ones that hold the same files again. Hidden files are
 * left out for the same reason.
 */
export function readSource(source: string): ReadSource {
  let names: string[]
  try {
    names = statSync(source).isDirectory() ? configFiles(source) : ['']
  } catch (error) {
    return { texts: [], problems: [fileProblem(source, `${source} ${reasonOf(error)}`)] }
  }
  if (names.length === 0) {
    const message = `${source} has no configuration: no file in it ends in .yaml, .yml or .json`
    return { texts: [], problems: [fileProblem(source, message)] }
  }
  if (names.length > maxFiles) {
    return {
      texts: [],
      problems: [fileProblem(source, `${source} has ${names.length} files; at most ${maxFiles} are read`)],
    }
  }
  const texts: SourceText[] = []
  const problems: ConfigProblem[] = []
  for (const name of names) {
    const file = name === '' ? source : join(source, name)
    const result = readTextFile(file)
    if ('text' in result) texts.push({ file, text: result.text })
    else problems.push(fileProblem(file, `${file} ${result.fails}`))
  }
  return { texts, problems }
}

function configFiles(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => /\.(?:ya?ml|json)$/i.test(name) && !name.startsWith('.'))
    .filter((name) => statSync(join(directory, name), { throwIfNoEntry: false })?.isDirectory() !== true)
    .toSorted()
}
