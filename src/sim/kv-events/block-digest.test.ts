import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noneHash, sglangDigest, vllmDigest } from './block-digest.ts'

function run(first: number, count: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, i) => first + i)
}

const plain = { parent: undefined, adapter: undefined, cacheSalt: undefined } as const

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

test('the digest of the seed is that of vLLM with PYTHONHASHSEED=0', () => {
  assert.equal(hex(noneHash('0')), '4e1195df020de59e0d65a33a4279f1183e7ae4e5d980e309f8b55adff2e61c3e')
})

test('blocks of 32 tokens have the digests that a running vLLM 0.32 announced', () => {
  const digest = vllmDigest('0')
  const first = digest({ ...plain, tokenIds: run(1, 32) })
  assert.equal(hex(first), '8cb56fff8ae2c77f3b5c2e61262b9b28e49e0d515055dff6ea5177deca580197')
  const second = digest({ ...plain, parent: first, tokenIds: run(33, 32) })
  assert.equal(hex(second), '8871a42524c7608b1450c48bcca7c452d3e4fec30758e2b4a673bff05cb86760')
})

test('blocks of 16 tokens have the digests of the algorithm', () => {
  const digest = vllmDigest('0')
  const first = digest({ ...plain, tokenIds: run(1, 16) })
  assert.equal(hex(first), '202da172482d928bbc42ab25b0151e2b895f13f41002e27b2ceabcfae6d332ea')
  const second = digest({ ...plain, parent: first, tokenIds: run(17, 16) })
  assert.equal(hex(second), '4a0a393805c6d2f0ed831000d41bb65980336c4c04895d5e26470bbec927f5bf')
})

// Made with Python's cbor2 and hashlib.
test('adapter, path and salt are in the digest of vLLM', () => {
  const digest = vllmDigest('0')
  const adapter = { name: 'chat-lora', path: '/adapters/chat-lora' }
  const first = digest({ parent: undefined, tokenIds: run(1, 32), adapter, cacheSalt: 'tenant-b' })
  assert.equal(hex(first), '5175ed496e4da1c82c3faf7f4e42f06f97126bab393d2f897c4d14d31570b7d2')
  const second = digest({ parent: first, tokenIds: run(33, 32), adapter, cacheSalt: undefined })
  assert.equal(hex(second), 'b4c6c2d626b37f74e80f8ec4b102620b900feb38a6d8b9e2272256411f09f858')
})

test('numbers and texts of every length are in their shortest form', () => {
  const tokenIds = Uint32Array.of(0, 23, 24, 255, 256, 65_535, 65_536, 4_294_967_295)
  const digest = vllmDigest('vllm-none-hash')({ ...plain, tokenIds, cacheSalt: 's'.repeat(300) })
  assert.equal(hex(digest), '438f2bc78ae4db9c3b07f1fe1d8e493def632f215570dc24143594b91075cf0e')
})

test('digests of SGLang are over the parent and four bytes for each token', () => {
  const first = sglangDigest({ ...plain, tokenIds: run(1, 16) })
  assert.equal(hex(first), '77d735ce838418aa151bd96b5b1e78ee63860892e0a95c00fe34178442be9b07')
  const second = sglangDigest({ ...plain, parent: first, tokenIds: run(17, 16) })
  assert.equal(hex(second), '1170426cf2449cebf4d17f087ce5bb43b6a910ce91b3f40922868e913e8ee91d')
})
