import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { EppBlockHasher } from './epp-block-hash.ts'
import { Xxh64 } from './xxh64.ts'

const bigOf = (low: number, high: number): bigint => (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
const xxh64 = new Xxh64()

function digestOf(bytes: Uint8Array): bigint {
  xxh64.input.set(bytes)
  xxh64.digest(bytes.length)
  return bigOf(xxh64.low, xxh64.high)
}

interface Case {
  readonly model: string
  readonly salt: string
  readonly tokens: Uint32Array
  readonly blockSizeTokens: number
  readonly maxBlocks: number
}

/** The chain as its own documentation states it: seed = xxhash(model || salt), h = xxhash(LE(block) || LE(previous)). */
function statedChain({ model, salt, tokens, blockSizeTokens, maxBlocks }: Case): bigint[] {
  const hashes: bigint[] = []
  let previous = digestOf(Buffer.from(model + salt))
  for (let i = 0; i < tokens.length && hashes.length < maxBlocks; i += blockSizeTokens) {
    const block = Buffer.alloc(4 * Math.min(blockSizeTokens, tokens.length - i))
    for (let j = 0; j < block.length / 4; j++) block.writeUInt32LE(tokens[i + j] as number, 4 * j)
    const both = Buffer.alloc(16)
    both.writeBigUInt64LE(digestOf(block), 0)
    both.writeBigUInt64LE(previous, 8)
    previous = digestOf(both)
    hashes.push(previous)
  }
  return hashes
}

function hashesIn(out: Int32Array, blocks: number): bigint[] {
  return Array.from({ length: blocks }, (_, i) => bigOf(out[2 * i] as number, out[2 * i + 1] as number))
}

test('hashes tokens as the Endpoint Picker states it, the last partial block included', () => {
  const anyCase = fc.record({
    model: fc.string({ maxLength: 20 }),
    salt: fc.string({ maxLength: 10 }),
    tokens: fc.uint32Array({ maxLength: 200 }),
    blockSizeTokens: fc.integer({ min: 1, max: 80 }),
    maxBlocks: fc.integer({ min: 1, max: 300 }),
  })
  fc.assert(
    fc.property(anyCase, (drawn) => {
      const hasher = new EppBlockHasher(drawn)
      const out = new Int32Array(400)
      const blocks = hasher.hashTokens(drawn.tokens, hasher.seedOf(drawn.model, drawn.salt), out)
      assert.deepEqual(hashesIn(out, blocks), statedChain(drawn))
    }),
    { numRuns: 60, seed: 5 },
  )
})

test('packs text four bytes to a token, with zeros at the end', () => {
  const hasher = new EppBlockHasher({ blockSizeTokens: 64, maxBlocks: 2048 })
  const seed = hasher.seedOf('meta-llama/Llama-3.1-8B', '')
  for (const bytes of [0, 1, 3, 4, 255, 256, 257, 70_001]) {
    const text = Buffer.alloc(bytes, 'user: tell me a story ')
    const padded = Buffer.concat([text, Buffer.alloc((4 - (bytes % 4)) % 4)])
    const tokens = new Uint32Array(padded.buffer.slice(padded.byteOffset, padded.byteOffset + padded.length))
    const [a, b] = [new Int32Array(1000), new Int32Array(1000)]
    const spans = [
      { start: 0, end: bytes >> 1 },
      { start: bytes >> 1, end: bytes },
    ]
    const blocks = hasher.hashBytes([text.subarray(0, 100), text.subarray(100)], spans, seed, a)
    assert.equal(blocks, Math.ceil(bytes / 256))
    assert.equal(hasher.hashTokens(tokens, seed, b), blocks)
    assert.deepEqual(a, b)
  }
})

test('starts from the model name and the cache salt as one text', () => {
  const hasher = new EppBlockHasher({ blockSizeTokens: 64, maxBlocks: 8 })
  assert.deepEqual(hasher.seedOf('model', 'salt'), hasher.seedOf('models', 'alt'))
  const { low, high } = hasher.seedOf('asdf', '')
  assert.equal(bigOf(low, high), 0x415872f599cea71en)
})

test('refuses blocks of impossible size', () => {
  for (const blockSizeTokens of [0, 1.5, 16_385])
    assert.throws(() => new EppBlockHasher({ blockSizeTokens, maxBlocks: 1 }), RangeError)
})
