import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encode } from '@msgpack/msgpack'
import { readBatch } from './read-batch.ts'

const run = (first: number, count: number): number[] => Array.from({ length: count }, (_, i) => first + i)

/** Messages of vLLM 0.32, captured, and of other versions (model-servers.md 2.1, real-engine.md 8). */
const fixtures = [
  {
    name: 'an array of vLLM up to 0.23',
    hex: '93cb41daa8dbe02000009198ab426c6f636b53746f72656492cfdab89baa7b5857c02ac0940102030402c0a3475055c000',
    events: [{ type: 'stored', names: [15760518052499183552n, 42n], tokenIds: [1, 2, 3, 4], blockTokens: 2 }],
  },
  {
    name: 'a map of vLLM 0.24',
    hex: '93cb41daa8dbe02000009188a474797065ab426c6f636b53746f726564ac626c6f636b5f68617368657391cfdab89baa7b5857c0b1706172656e745f626c6f636b5f68617368c0a9746f6b656e5f696473920102aa626c6f636b5f73697a6502a76c6f72615f6964c0a66d656469756da3475055a96c6f72615f6e616d65c000',
    events: [{ type: 'stored', names: [15760518052499183552n], tokenIds: [1, 2], parent: undefined }],
  },
  {
    name: 'a removal and a clear',
    hex: '93cb41daa8dbe02000009293ac426c6f636b52656d6f76656491cfdab89baa7b5857c0a347505591b0416c6c426c6f636b73436c656172656400',
    events: [{ type: 'removed', names: [15760518052499183552n], tier: 'gpu' }, { type: 'cleared' }],
  },
  {
    name: 'a whole digest as a name',
    hex: '93cb41daa8dbe02000009193ac426c6f636b52656d6f76656491c4202d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881a3475055c0',
    events: [{ type: 'removed', names: [0x02258717921a4881n] }],
  },
  {
    name: 'a clear and a run of vLLM 0.32',
    hex: '93cb41dac059b45194ec9281a474797065b0416c6c426c6f636b73436c65617265648ba474797065ab426c6f636b53746f726564ac626c6f636b5f68617368657392cfea5177deca580197cfa673bff05cb86760b1706172656e745f626c6f636b5f68617368c0a9746f6b656e5f696473dc00400102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f40aa626c6f636b5f73697a6520a76c6f72615f6964c0a66d656469756da3475055a96c6f72615f6e616d65c0aa65787472615f6b65797392c0c0a967726f75705f69647800b26b765f63616368655f737065635f6b696e64ae66756c6c5f617474656e74696f6e00',
    events: [
      { type: 'cleared' },
      { type: 'stored', names: [16884408276749910423n, 11994141271686408032n], tokenIds: run(1, 64), extras: ['', ''] },
    ],
  },
  {
    name: 'an adapter and a salt of vLLM 0.32',
    hex: '93cb41dac059b54946de918ba474797065ab426c6f636b53746f726564ac626c6f636b5f68617368657392cfaf727fb09d4324e9cf3b0defeb7fe4951ab1706172656e745f626c6f636b5f68617368c0a9746f6b656e5f696473dc00400102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f40aa626c6f636b5f73697a6520a76c6f72615f696405a66d656469756da3475055a96c6f72615f6e616d65a9636861742d6c6f7261aa65787472615f6b6579739292a9636861742d6c6f7261a874656e616e742d6291a9636861742d6c6f7261a967726f75705f69647800b26b765f63616368655f737065635f6b696e64ae66756c6c5f617474656e74696f6e00',
    events: [{ type: 'stored', adapter: 'chat-lora', extras: ['["tenant-b"]', ''], blockTokens: 32, isWhole: true }],
  },
] as const

for (const { name, hex, events } of fixtures) {
  test(`it reads ${name}`, () => assert.partialDeepStrictEqual(readBatch(Buffer.from(hex, 'hex')).events, events))
}

test('the batch may be a map, names may have a sign, and events of other kinds are left out', () => {
  const payload = encode(
    {
      ts: 5,
      events: [
        ['Resized', 7],
        ['BlockRemoved', [-1n], 'CPU'],
      ],
      data_parallel_rank: 0,
    },
    { useBigInt64: true },
  )
  assert.deepEqual(readBatch(payload), {
    timeS: 5,
    events: [{ type: 'removed', names: [2n ** 64n - 1n], tier: 'cpu', group: 0 }],
  })
})

test('what is no batch is refused with a reason', () => {
  const stored = (size: unknown, tokens: readonly number[] = [1, 2]): unknown => [
    1,
    [['BlockStored', [1], null, tokens, size]],
  ]
  const cases: readonly [unknown, RegExp][] = [
    [7, /no batch/],
    [[1, 7], /no batch/],
    [[1, [['BlockRemoved', 7]]], /list/],
    [[1, [['BlockRemoved', ['x']]]], /no name/],
    [stored(0), /no size/],
    [stored(1e9), /tokens/],
    [stored(4), /do not agree/],
  ]
  for (const [value, problem] of cases) assert.throws(() => readBatch(encode(value)), problem)
  assert.throws(() => readBatch(Buffer.from('c1', 'hex')), /MessagePack/)
})
