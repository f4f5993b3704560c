import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { maxInputBytes, Xxh64 } from './xxh64.ts'

const mask = (1n << 64n) - 1n
const p1 = 0x9e3779b185ebca87n
const p2 = 0xc2b2ae3d27d4eb4fn
const p3 = 0x165667b19e3779f9n
const p4 = 0x85ebca77c2b2ae63n
const p5 = 0x27d4eb2f165667c5n

const rotate = (value: bigint, bits: bigint): bigint => ((value << bits) | (value >> (64n - bits))) & mask
const round = (sum: bigint, input: bigint): bigint => (rotate((sum + input * p2) & mask, 31n) * p1) & mask

function stripes(bytes: Buffer): bigint {
  const sums = [(p1 + p2) & mask, p2, 0n, -p1 & mask]
  for (let at = 0; at + 32 <= bytes.length; at += 32)
    for (let i = 0; i < 4; i++) sums[i] = round(sums[i] as bigint, bytes.readBigUInt64LE(at + 8 * i))
  const rotated = [1n, 7n, 12n, 18n].map((bits, i) => rotate(sums[i] as bigint, bits))
  const hash = rotated.reduce((sum, value) => sum + value, 0n) & mask
  return sums.reduce((merged, sum) => ((merged ^ round(0n, sum)) * p1 + p4) & mask, hash)
}

/** XXH64 with seed 0 after its specification, slowly. */
function slowXxh64(bytes: Buffer): bigint {
  let at = bytes.length - (bytes.length % 32)
  let hash = ((at > 0 ? stripes(bytes) : p5) + BigInt(bytes.length)) & mask
  for (; at + 8 <= bytes.length; at += 8)
    hash = (rotate(hash ^ round(0n, bytes.readBigUInt64LE(at)), 27n) * p1 + p4) & mask
  if (at + 4 <= bytes.length) {
    hash = (rotate(hash ^ ((BigInt(bytes.readUInt32LE(at)) * p1) & mask), 23n) * p2 + p3) & mask
    at += 4
  }
  for (; at < bytes.length; at++) hash = (rotate(hash ^ ((BigInt(bytes[at] as number) * p5) & mask), 11n) * p1) & mask
  hash = ((hash ^ (hash >> 33n)) * p2) & mask
  hash = ((hash ^ (hash >> 29n)) * p3) & mask
  return hash ^ (hash >> 32n)
}

const bigOf = (low: number, high: number): bigint => (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)

function digestOf(hash: Xxh64, bytes: Uint8Array): bigint {
  hash.input.set(bytes)
  hash.digest(bytes.length)
  return bigOf(hash.low, hash.high)
}

// The vectors of the Go library that the Endpoint Picker uses (cespare/xxhash, TestAll).
const vectors = [
  { text: '', hash: 0xef46db3751d8e999n },
  { text: 'a', hash: 0xd24ec4f1a98c6e5bn },
  { text: 'as', hash: 0x1c330fb2d66be179n },
  { text: 'asd', hash: 0x631c37ce72a97393n },
  { text: 'asdf', hash: 0x415872f599cea71en },
  { text: 'Call me Ishmael. Some years ago--never mind how long precisely-', hash: 0x02a2e85470d6fd96n },
]

test('gives the published hashes', () => {
  const hash = new Xxh64()
  for (const vector of vectors) assert.equal(digestOf(hash, Buffer.from(vector.text)), vector.hash, vector.text)
})

test('agrees with the specification for bytes of any length', () => {
  const hash = new Xxh64()
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      assert.equal(digestOf(hash, bytes), slowXxh64(Buffer.from(bytes)))
    }),
    { numRuns: 500, seed: 1 },
  )
  const full = Buffer.alloc(maxInputBytes, 'full')
  assert.equal(digestOf(hash, full), slowXxh64(full))
})

test('chains blocks from any hash on', () => {
  const hash = new Xxh64()
  const bytes = Buffer.from(Array.from({ length: 120 }, (_, i) => (i * 37) & 0xff))
  let state = 0x0123456789abcdefn
  hash.input.set(bytes)
  hash.startFrom(0x89abcdef | 0, 0x01234567)
  hash.chain(24, 4, 24)
  for (let block = 0; block < 4; block++) {
    const both = Buffer.alloc(16)
    both.writeBigUInt64LE(slowXxh64(bytes.subarray(24 * (block + 1), 24 * (block + 2))), 0)
    both.writeBigUInt64LE(state, 8)
    state = slowXxh64(both)
    assert.equal(bigOf(hash.words[2 * block] as number, hash.words[2 * block + 1] as number), state)
  }
  assert.equal(bigOf(hash.low, hash.high), state)
})
