/** Bytes of UTF-8 text in one token. */
const BYTES_PER_TOKEN = 4

/**
 * Splits text into tokens: each is four bytes of the UTF-8 text, its id those bytes read as one unsigned integer; the last one
 * is filled up with zero bytes. So a text of n bytes has ceil(n / 4) tokens, equal prefixes give equal tokens, and ids turn
 * back into text.
 */
export function tokenize(text: string): Uint32Array {
  const bytes = Buffer.byteLength(text)
  const padded = new Uint8Array(Math.ceil(bytes / BYTES_PER_TOKEN) * BYTES_PER_TOKEN)
  Buffer.from(padded.buffer).write(text)
  return new Uint32Array(padded.buffer)
}

/** Turns token ids of {@link tokenize} back into text; the zero bytes that fill up a token are left out. */
export function detokenize(tokens: readonly number[] | Uint32Array): string {
  const bytes = Buffer.from(Uint32Array.from(tokens).buffer)
  return bytes.filter((byte) => byte !== 0).toString()
}

/** Mixes two 32-bit numbers into one, well enough that near inputs give far outputs (the finisher of MurmurHash3). */
export function mix32(state: number, value: number): number {
  let mixed = Math.imul(state ^ value, 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

/** A 32-bit hash of a token sequence. */
export function hashTokens(tokens: Uint32Array, seed: number): number {
  let state = mix32(seed, tokens.length)
  for (let i = 0; i < tokens.length; i++) state = mix32(state + 0x9e3779b9, tokens[i]!)
  return state
}

/** A 32-bit hash of a text. */
export function hashText(text: string, seed: number): number {
  return hashTokens(tokenize(text), seed)
}
