/** Character classes of RFC 9110/9112 as bits, indexed by byte. */
export const charClass = { token: 1, upper: 2, value: 4, target: 8, host: 16 } as const

const tokenMarks = "!#$%&'*+-.^_`|~"
/** Beside letters and digits: RFC 3986 3.2.2, the marks of a name but for the percent sign of an escape. */
const hostMarks = "-._~!$&'()*+,;="

/** Table of 256 class sets: `table[byte] & charClass.token` says whether the byte may stand in a token. */
export const charTable: Uint8Array = buildTable()

function buildTable(): Uint8Array {
  const table = new Uint8Array(256)
  for (let byte = 0; byte < 256; byte++) {
    const char = String.fromCharCode(byte)
    const isUpper = byte >= 0x41 && byte <= 0x5a
    const isWordChar = /[0-9A-Za-z]/.test(char)
    const isVisible = byte > 0x20 && byte < 0x7f
    let bits = 0
    if (isWordChar || tokenMarks.includes(char)) bits |= charClass.token
    if (isUpper) bits |= charClass.upper
    if (isVisible || byte >= 0x80 || byte === 0x20 || byte === 0x09) bits |= charClass.value
    // No fragment in a request target; bytes above 0x7f are refused as RFC 3986 knows none. It knows none of \^`{|} either,
    // but browsers leave those in queries as they are.
    if (isVisible && !'#"<>'.includes(char)) bits |= charClass.target
    if (isWordChar || hostMarks.includes(char)) bits |= charClass.host
    table[byte] = bits
  }
  return table
}
