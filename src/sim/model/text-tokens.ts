const BYTES_PER_TOKEN = 4

/**
 * Splits text into tokens, exactly so: the UTF-8 bytes are cut from the left into groups of four; the last group is filled up
 * with zero bytes; a group's token id is its bytes read as one little-endian 32-bit integer (as a signed one, since ids live in
 * an Int32Array; `id >>> 0` is the unsigned form). So n bytes are ceil(n / 4) tokens, which is near what real vocabularies make
 * of English text; texts that begin with the same bytes begin with the same tokens; a byte put in front changes every token.
 */
export function tokensFromBytes(bytes: Uint8Array): Int32Array {
  const tokens = new Int32Array(Math.ceil(bytes.length / BYTES_PER_TOKEN))
  const whole = bytes.length >> 2
  for (let i = 0, at = 0; i < whole; i++, at += BYTES_PER_TOKEN) {
    tokens[i] = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
  }
  for (let at = whole * BYTES_PER_TOKEN; at < bytes.length; at++) tokens[whole]! |= bytes[at]! << (8 * (at & 3))
  return tokens
}

/** The bytes that {@link tokensFromBytes} made the tokens of. Zero bytes at the end of a token are taken for filling. */
export function bytesFromTokens(tokens: Int32Array): Uint8Array {
  const bytes = new Uint8Array(tokens.length * BYTES_PER_TOKEN)
  let length = 0
  for (const token of tokens) {
    for (let rest = token; rest !== 0; rest >>>= 8) bytes[length++] = rest & 0xff
  }
  return bytes.subarray(0, length)
}

/** How many tokens {@link tokensFromBytes} makes of so many bytes. */
export function tokenCountOf(byteLength: number): number {
  return Math.ceil(byteLength / BYTES_PER_TOKEN)
}
