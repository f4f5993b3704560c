/** One generated part of the documentation: a whole file, or what stands between two marker comments of a file. */
export interface Generator {
  /** Relative to the repository root. */
  readonly file: string
  /** Replaces what is between `<!-- generated:MARKER -->` and `<!-- /generated:MARKER -->`; absent: the whole file. */
  readonly marker?: string
  /** The text, without trailing newline. Deterministic: equal code gives equal text. */
  render(): string | Promise<string>
}

/** The text with its marked part replaced; undefined when it does not have the pair of markers exactly once. */
export function replaceMarked(text: string, marker: string, rendered: string): string | undefined {
  const open = `<!-- generated:${marker} -->\n`
  const close = `<!-- /generated:${marker} -->`
  const [before, rest, ...moreOpen] = text.split(open)
  const [old, after, ...moreClose] = (rest ?? '').split(close)
  if (before === undefined || old === undefined || after === undefined) return undefined
  if (moreOpen.length > 0 || moreClose.length > 0) return undefined
  return `${before}${open}${rendered}${close}${after}`
}

const tableLine = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`

/** A Markdown table. Cells are used as they are: a `|` in one must come escaped. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [tableLine(head), tableLine(head.map(() => '---')), ...rows.map(tableLine)].join('\n')
}
