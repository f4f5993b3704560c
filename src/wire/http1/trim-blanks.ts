/**
 * `text` without the blanks around it: space and tab, the only ones that HTTP knows (RFC 9110 5.6.3). `trim` also takes
 * U+00A0, which is byte 0xa0 of a header read as latin1, so that `\xa0close` would be `close` here and nowhere else.
 */
export function trimBlanks(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && isBlank(text.charCodeAt(start))) start++
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--
  return start === 0 && end === text.length ? text : text.slice(start, end)
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09
}
