import { createHash } from 'node:crypto'

/** What a block's digest covers: the digest of the block before it, its tokens, and what else keeps it apart from others. */
export interface DigestInput {
  /** Undefined for the first block of a prompt. */
  readonly parent: Uint8Array | undefined
  readonly tokenIds: Uint32Array
  /** Name and path of the LoRA adapter. */
  readonly adapter: { readonly name: string; readonly path: string } | undefined
  /** Only the first block of a prompt has one. */
  readonly cacheSalt: string | undefined
}

/** The digest of one full block, 32 bytes. */
export type BlockDigest = (input: DigestInput) => Uint8Array

const unsigned = 0
const byteString = 2
const textString = 3
const arrayOf = 4
const cborNull = 0xf6

/** The few kinds of CBOR (RFC 8949) that block hashes are made of, every length in its shortest form (canonical). */
class CborWriter {
  #bytes = Buffer.allocUnsafe(4096)
  #length = 0

  uint(value: number): void {
    this.#head(unsigned, value)
  }

  bytes(value: Uint8Array): void {
    this.#head(byteString, value.length)
    this.#append(value)
  }

  text(value: string): void {
    const bytes = Buffer.from(value)
    this.#head(textString, bytes.length)
    this.#append(bytes)
  }

  array(items: number): void {
    this.#head(arrayOf, items)
  }

  nil(): void {
    this.#reserve(1)
    this.#bytes[this.#length++] = cborNull
  }

  /** SHA-256 of all that was written since the last call. */
  sha256(): Buffer {
    const digest = createHash('sha256').update(this.#bytes.subarray(0, this.#length)).digest()
    this.#length = 0
    return digest
  }

  #head(major: number, value: number): void {
    this.#reserve(5)
    const kind = major << 5
    if (value < 24) {
      this.#bytes[this.#length++] = kind | value
      return
    }
    const width = value < 0x100 ? 1 : value < 0x10000 ? 2 : 4
    this.#bytes[this.#length++] = kind | (24 + Math.log2(width))
    this.#bytes.writeUIntBE(value, this.#length, width)
    this.#length += width
  }

  #append(value: Uint8Array): void {
    this.#reserve(value.length)
    this.#bytes.set(value, this.#length)
    this.#length += value.length
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + more))
    this.#bytes.copy(grown, 0, 0, this.#length)
    this.#bytes = grown
  }
}

/** What the first block of a prompt has for a parent in vLLM: the digest of the seed (`PYTHONHASHSEED`). */
export function noneHash(seed: string): Uint8Array {
  const writer = new CborWriter()
  writer.text(seed)
  return writer.sha256()
}

/**
 * Digests of vLLM's `--prefix-caching-hash-algo sha256_cbor`: SHA-256 over the canonical CBOR of (parent, tokens, extra), where
 * extra is null or a list of `["lora", name, path]` and `["cache_salt", salt]` (vllm/v1/core/kv_cache_utils.py of 0.32).
 */
export function vllmDigest(seed: string): BlockDigest {
  const none = noneHash(seed)
  const writer = new CborWriter()
  return ({ parent, tokenIds, adapter, cacheSalt }) => {
    writer.array(3)
    writer.bytes(parent ?? none)
    writer.array(tokenIds.length)
    for (let i = 0; i < tokenIds.length; i++) writer.uint(tokenIds[i]!)
    const extras = [
      ...(adapter === undefined ? [] : [['lora', adapter.name, adapter.path]]),
      ...(cacheSalt === undefined ? [] : [['cache_salt', cacheSalt]]),
    ]
    if (extras.length === 0) writer.nil()
    else writer.array(extras.length)
    for (const extra of extras) {
      writer.array(extra.length)
      for (const text of extra) writer.text(text)
    }
    return writer.sha256()
  }
}

/**
 * Digests of SGLang: SHA-256 over the parent's digest, if there is one, and each token as four bytes, the lowest first
 * (`get_hash_str`). Adapters and salts are not in it: SGLang names equal tokens of different adapters equally.
 */
export const sglangDigest: BlockDigest = ({ parent, tokenIds }) => {
  const hash = createHash('sha256')
  if (parent !== undefined) hash.update(parent)
  const bytes = Buffer.allocUnsafe(tokenIds.length * 4)
  for (let i = 0; i < tokenIds.length; i++) bytes.writeUInt32LE(tokenIds[i]!, i * 4)
  return hash.update(bytes).digest()
}
