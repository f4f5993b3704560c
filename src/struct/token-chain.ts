/**
 * Tokens between two keys of a chain. Engines' blocks are whole multiples of it, or are put together until they are: a
 * key stands for all tokens before it, whatever the engine's blocks.
 */
export const chainUnitTokens = 16

/** Blocks of one endpoint as its events name them, against keys: the number of units between two keys that count there. */
export function unitsOf(blockTokens: number): number {
  let units = 1
  while ((units * chainUnitTokens) % blockTokens !== 0) units++
  return units
}

/** Longest block that is taken: beyond it an engine's blocks are of no use for prompts. */
export const maxBlockTokens = 4096

/** Where a chain is: two 32-bit words. */
export interface ChainState {
  low: number
  high: number
}

/**
 * Keys of token sequences: 64 bits over every token so far, one token at a time, so that the key at a place does not
 * depend on how the tokens before it are cut into blocks. Not for hostile engines: whoever may publish events may say
 * what he likes anyway. A few nanoseconds a token.
 */
export class TokenChain implements ChainState {
  low = 0
  high = 0

  /** Begins anew for what must not share a prefix: each combination of adapter and salt has keys of its own. */
  start(adapter: string, extras: string): void {
    this.low = 0x9e3779b9 | 0
    this.high = 0x7f4a7c15 | 0
    this.mixText(adapter)
    this.mixText(extras)
  }

  /** Goes on from where another chain was. */
  resume({ low, high }: ChainState): void {
    this.low = low
    this.high = high
  }

  /** Mixes a text in; texts one after the other are told apart. */
  mixText(text: string): void {
    for (let i = 0; i < text.length; i++) this.push(text.charCodeAt(i))
    this.push(text.length ^ 0x55555555)
  }

  push(token: number): void {
    const low = Math.imul(this.low ^ token, 0x85ebca6b)
    const mixed = (((low << 13) | (low >>> 19)) + this.high) | 0
    const high = Math.imul(this.high ^ ((token << 16) | (token >>> 16)) ^ (mixed >>> 7), 0xc2b2ae35)
    this.low = mixed
    this.high = high ^ (high >>> 15) ^ (mixed << 5)
  }

  /** Writes the key of all tokens so far: low and high word. */
  write(out: Int32Array, at: number): void {
    out[at] = finish(this.low)
    out[at + 1] = finish(this.high ^ 0x3c6ef372)
  }
}

function finish(word: number): number {
  let mixed = Math.imul(word ^ (word >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}

/** Keys of a prompt at every `chainUnitTokens` tokens, two words each, as `PrefixIndex` takes them. */
export function keysOfTokens(tokens: ArrayLike<number>, adapter: string, extras: string): Int32Array {
  const units = Math.floor(tokens.length / chainUnitTokens)
  const keys = new Int32Array(2 * units)
  const chain = new TokenChain()
  chain.start(adapter, extras)
  for (let unit = 0; unit < units; unit++) {
    for (let i = 0; i < chainUnitTokens; i++) chain.push(tokens[unit * chainUnitTokens + i]!)
    chain.write(keys, 2 * unit)
  }
  return keys
}

/** What besides tokens and adapter keeps the first block of a prompt apart, as one text: the client's cache salt. */
export function extrasOfSalt(cacheSalt: string | undefined): string {
  return cacheSalt === undefined ? '' : JSON.stringify([cacheSalt])
}
