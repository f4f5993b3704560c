/** Text that is HTML already: made by `html` only. */
export interface Html {
  readonly markup: string
}

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

type Part = string | number | Html | readonly Html[]

function markupOf(part: Part): string {
  if (typeof part === 'string') return part.replace(/[&<>"']/g, (char) => escapes[char] ?? char)
  if (typeof part === 'number') return String(part)
  if ('markup' in part) return part.markup
  return part.map(({ markup }) => markup).join('')
}

/** A template whose values are escaped unless they are Html themselves. Attribute values need quotes around them. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return { markup: strings.reduce((markup, string, at) => `${markup}${markupOf(parts[at - 1] ?? '')}${string}`) }
}
