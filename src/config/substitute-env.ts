/** Environment variables by name. */
export type Env = Readonly<Record<string, string | undefined>>

/** A text with its variables put in, or what is wrong with it. */
export type Substituted =
  | { readonly text: string; readonly used: readonly { readonly name: string; readonly value: string }[] }
  | { readonly fails: string; readonly hint: string; readonly missing?: string }

const token = /\$\$\{|\$\{([^}]*)(\}?)/g

/**
 * Puts environment variables into a text: `${NAME}`, `${NAME:-default}` (the default also stands for an empty value) and
 * `$${` for the two characters themselves. What is put in is not looked at again.
 */
export function substituteEnv(text: string, env: Env): Substituted {
  const used: { name: string; value: string }[] = []
  let result = ''
  let end = 0
  for (const match of text.matchAll(token)) {
    result += text.slice(end, match.index)
    end = match.index + match[0].length
    if (match[0] === '$${') {
      result += '${'
      continue
    }
    const parts = /^([A-Za-z_]\w*)(?::-(.*))?$/s.exec(match[1] ?? '')
    if (parts === null || match[2] === '') {
      const fails = match[2] === '' ? "'${' without its '}'" : `'${match[0]}' names no variable`
      return { fails, hint: "write '${NAME}' or '${NAME:-default}', and '$${' for the characters '${' themselves" }
    }
    const [, name = '', fallback] = parts
    const value = fallback !== undefined && env[name] === '' ? undefined : env[name]
    if (value === undefined && fallback === undefined) {
      const hint = `set ${name}, or write '\${${name}:-default}'`
      return { fails: `environment variable ${name} is not set`, hint, missing: name }
    }
    if (value !== undefined) used.push({ name, value })
    result += value ?? fallback ?? ''
  }
  return { text: result + text.slice(end), used }
}

/** Removes what came from the environment from messages: each value becomes `${NAME}` again. */
export function hideValues(text: string, used: ReadonlyMap<string, string>): string {
  let hidden = text
  for (const [value, name] of [...used].toSorted(([a], [b]) => b.length - a.length)) {
    // Shorter ones are no secrets, and are found by chance in any sentence.
    if (value.length >= 4) hidden = hidden.replaceAll(value, `\${${name}}`)
  }
  return hidden
}
