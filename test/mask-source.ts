/** A source with everything that is not code blanked out, offsets and line breaks kept. */
export interface MaskedSource {
  /** Comments, string contents, template text and regular expressions are spaces; quotes stay. */
  readonly code: string
  /** Contents of each quoted string, by the offset of its opening quote. */
  readonly strings: ReadonlyMap<number, string>
}

const comment = /\/\/[^\n]*|\/\*[^]*?\*\//y
const string = /'(?:[^'\\\n]|\\[^])*'|"(?:[^"\\\n]|\\[^])*"/y
const regex = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y
const word = /[A-Za-z_$][\w$]*/y
/** Template text up to its end or to the next `${`, which is included. */
const template = /(?:[^`\\$]|\\[^]|\$(?!\{))*(?:`|\$\{)/y
/** After these a slash starts a regular expression; after a name, a number or a closing bracket it divides. */
const beforeRegex = /^(?:|[(,=:[!&|?{};+\-*%<>~^]|return|typeof|case|in|of|yield|await|void|throw|else)$/

function matchAt(pattern: RegExp, text: string, offset: number): string | undefined {
  pattern.lastIndex = offset
  return pattern.exec(text)?.[0]
}

const blank = (text: string): string => text.replace(/[^\n]/g, ' ')

/** Masks a TypeScript source. Good enough for well-formed code: it reads no types and checks nothing. */
export function maskSource(text: string): MaskedSource {
  const strings = new Map<number, string>()
  // For each template literal that is inside a `${`: how many braces are open since.
  const braces: number[] = []
  let code = ''
  // The last word or sign before the current offset: tells a regular expression from a division.
  let last = ''

  const takeBlank = (pattern: RegExp): boolean => {
    const piece = matchAt(pattern, text, code.length)
    code += blank(piece ?? '')
    return piece !== undefined
  }
  const takeString = (): boolean => {
    const piece = matchAt(string, text, code.length)
    if (piece === undefined) return false
    strings.set(code.length, piece.slice(1, -1))
    code += piece[0] + blank(piece.slice(1, -1)) + piece[0]
    last = ')'
    return true
  }
  const takeTemplate = (): void => {
    const piece = matchAt(template, text, code.length) ?? ''
    const end = piece.endsWith('${') ? '${' : '`'
    code += blank(piece.slice(0, piece.length - end.length)) + end
    if (end === '${') braces.push(0)
    last = end === '${' ? '{' : ')'
  }
  const takeSign = (): void => {
    const sign = text[code.length] ?? ' '
    const open = braces.at(-1)
    code += sign
    if (sign.trim() !== '') last = sign
    if (sign === '`') takeTemplate()
    else if (open !== undefined && sign === '{') braces[braces.length - 1] = open + 1
    else if (open !== undefined && sign === '}') {
      braces.pop()
      if (open === 0) takeTemplate()
      else braces.push(open - 1)
    }
  }

  while (code.length < text.length) {
    if (takeBlank(comment) || takeString()) continue
    if (beforeRegex.test(last) && takeBlank(regex)) {
      last = ')'
      continue
    }
    const name = matchAt(word, text, code.length)
    if (name === undefined) takeSign()
    else code += last = name
  }
  return { code, strings }
}
