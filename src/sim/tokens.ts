/**
 * How text becomes tokens, in the simulator and in the laboratory, exactly:
 *
 * - The UTF-8 bytes of the text are cut from the left into groups of four; the last group is filled up with zero bytes. A
 *   group's token id is its four bytes read as one little-endian unsigned 32-bit integer. So n bytes are ceil(n / 4) tokens,
 *   which is near what real vocabularies make of English text; texts that begin with the same bytes begin with the same tokens,
 *   as far as whole groups reach; a byte put in front changes every token.
 * - A chat becomes text by api/prompt.ts, which fills up every part (the mark of a role, the content of a message) with line
 *   feeds to a multiple of four bytes, as real templates put tokens of their own between messages: a message has the same tokens
 *   whatever stands before it.
 * - Output tokens are pieces of text with ids of the same kind (answer.ts): a word of an answer is four bytes, its id is those
 *   bytes. So a chat whose next turn repeats an answer as it was sent has exactly the tokens of prompt and answer again, and
 *   finds all their full blocks that are still cached. Not reproduced are: echoes and arguments of tool calls (their pieces are
 *   not four bytes), an answer that the client trimmed or changed, and a text completion whose prompt is no multiple of four
 *   bytes (from its last token on).
 */

/** Bytes of text in one token. */
const BYTES_PER_TOKEN = 4

/** Splits text into tokens as this file's head says. */
export function tokenize(text: string): Uint32Array<ArrayBuffer> {
  const tokens = new Uint32Array(tokenCountOf(Buffer.byteLength(text)))
  Buffer.from(tokens.buffer).write(text)
  return tokens
}

/** The tokens of a text that is at hand as bytes. */
export function tokensFromBytes(bytes: Uint8Array): Uint32Array<ArrayBuffer> {
  const tokens = new Uint32Array(tokenCountOf(bytes.length))
  new Uint8Array(tokens.buffer).set(bytes)
  return tokens
}

/** How many tokens so many bytes of text are. */
export function tokenCountOf(byteLength: number): number {
  return Math.ceil(byteLength / BYTES_PER_TOKEN)
}

/** The bytes that have these tokens. Zero bytes at the end of a token are taken for filling. */
export function bytesFromTokens(tokens: Uint32Array | readonly number[]): Uint8Array {
  const bytes = new Uint8Array(tokens.length * BYTES_PER_TOKEN)
  let length = 0
  for (const token of tokens) {
    for (let rest = token >>> 0; rest !== 0; rest >>>= 8) bytes[length++] = rest & 0xff
  }
  return bytes.subarray(0, length)
}

/** The text that has these tokens; see {@link bytesFromTokens}. */
export function detokenize(tokens: Uint32Array | readonly number[]): string {
  return Buffer.from(bytesFromTokens(tokens)).toString()
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
