import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decode } from '@msgpack/msgpack'
import fc from 'fast-check'
import { BatchEncoder, type EncodingName } from './encoding.ts'
import type { BlockStored, EventBatch, KvEvent } from './kv-event.ts'
import { MsgpackWriter } from './msgpack-writer.ts'

const hash = 15760518052499183552n
const digest = Buffer.from('2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881', 'hex')

const plainRun = { type: 'BlockStored', parent: undefined, loraId: undefined, loraName: undefined } as const

function run(first: number, count: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, i) => first + i)
}

function capturedRun(more: Partial<BlockStored>): BlockStored {
  return {
    ...plainRun,
    names: [],
    tokenIds: run(1, 64),
    blockSize: 32,
    medium: 'GPU',
    groupIdx: 0,
    cacheSpecKind: 'full_attention',
    ...more,
  }
}

/** Time of a captured batch, bit for bit. */
function timeOf(hex: string): number {
  return Buffer.from(hex, 'hex').readDoubleBE()
}

interface Fixture {
  readonly name: string
  readonly encoding: EncodingName
  readonly batch: EventBatch
  readonly hex: string
}

/** Messages that a real vLLM 0.32 sent (block size 32, sha256_cbor, PYTHONHASHSEED=0), and three of other versions. */
const fixtures: readonly Fixture[] = [
  {
    name: 'vLLM up to 0.23: a run of blocks',
    encoding: 'vllm-array',
    batch: {
      timeS: 1789095808.5,
      rank: 0,
      events: [{ ...plainRun, names: [hash, 42n], tokenIds: run(1, 4), blockSize: 2, medium: 'GPU' }],
    },
    hex: '93cb41daa8dbe02000009198ab426c6f636b53746f72656492cfdab89baa7b5857c02ac0940102030402c0a3475055c000',
  },
  {
    name: 'vLLM 0.24: a block without extra keys',
    encoding: 'vllm',
    batch: {
      timeS: 1789095808.5,
      rank: 0,
      events: [{ ...plainRun, names: [hash], tokenIds: run(1, 2), blockSize: 2, medium: 'GPU' }],
    },
    hex: '93cb41daa8dbe02000009188a474797065ab426c6f636b53746f726564ac626c6f636b5f68617368657391cfdab89baa7b5857c0b1706172656e745f626c6f636b5f68617368c0a9746f6b656e5f696473920102aa626c6f636b5f73697a6502a76c6f72615f6964c0a66d656469756da3475055a96c6f72615f6e616d65c000',
  },
  {
    name: 'vLLM up to 0.23: a removal and a clear',
    encoding: 'vllm-array',
    batch: {
      timeS: 1789095808.5,
      rank: 0,
      events: [{ type: 'BlockRemoved', names: [hash], medium: 'GPU' }, { type: 'AllBlocksCleared' }],
    },
    hex: '93cb41daa8dbe02000009293ac426c6f636b52656d6f76656491cfdab89baa7b5857c0a347505591b0416c6c426c6f636b73436c656172656400',
  },
  {
    name: 'vLLM up to 0.23: a whole digest, no rank',
    encoding: 'vllm-array',
    batch: { timeS: 1789095808.5, rank: null, events: [{ type: 'BlockRemoved', names: [digest], medium: 'GPU' }] },
    hex: '93cb41daa8dbe02000009193ac426c6f636b52656d6f76656491c4202d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881a3475055c0',
  },
  {
    name: 'vLLM 0.32: a clear and two blocks in one batch',
    encoding: 'vllm',
    batch: {
      timeS: timeOf('41dac059b45194ec'),
      rank: 0,
      events: [
        { type: 'AllBlocksCleared' },
        capturedRun({ names: [16884408276749910423n, 11994141271686408032n], extraKeys: [undefined, undefined] }),
      ],
    },
    hex: '93cb41dac059b45194ec9281a474797065b0416c6c426c6f636b73436c65617265648ba474797065ab426c6f636b53746f726564ac626c6f636b5f68617368657392cfea5177deca580197cfa673bff05cb86760b1706172656e745f626c6f636b5f68617368c0a9746f6b656e5f696473dc00400102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f40aa626c6f636b5f73697a6520a76c6f72615f6964c0a66d656469756da3475055a96c6f72615f6e616d65c0aa65787472615f6b65797392c0c0a967726f75705f69647800b26b765f63616368655f737065635f6b696e64ae66756c6c5f617474656e74696f6e00',
  },
  {
    name: 'vLLM 0.32: a block announced again',
    encoding: 'vllm',
    batch: {
      timeS: timeOf('41dac059b5345826'),
      rank: 0,
      events: [
        capturedRun({
          names: [11994141271686408032n],
          parent: 16884408276749910423n,
          tokenIds: run(33, 32),
          extraKeys: [undefined],
        }),
      ],
    },
    hex: '93cb41dac059b5345826918ba474797065ab426c6f636b53746f726564ac626c6f636b5f68617368657391cfa673bff05cb86760b1706172656e745f626c6f636b5f68617368cfea5177deca580197a9746f6b656e5f696473dc00202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f40aa626c6f636b5f73697a6520a76c6f72615f6964c0a66d656469756da3475055a96c6f72615f6e616d65c0aa65787472615f6b65797391c0a967726f75705f69647800b26b765f63616368655f737065635f6b696e64ae66756c6c5f617474656e74696f6e00',
  },
  {
    name: 'vLLM 0.32: an adapter and a salt',
    encoding: 'vllm',
    batch: {
      timeS: timeOf('41dac059b54946de'),
      rank: 0,
      events: [
        capturedRun({
          names: [12642307500511798505n, 4255321017677026586n],
          loraId: 5,
          loraName: 'chat-lora',
          extraKeys: [['chat-lora', 'tenant-b'], ['chat-lora']],
        }),
      ],
    },
    hex: '93cb41dac059b54946de918ba474797065ab426c6f636b53746f726564ac626c6f636b5f68617368657392cfaf727fb09d4324e9cf3b0defeb7fe4951ab1706172656e745f626c6f636b5f68617368c0a9746f6b656e5f696473dc00400102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f40aa626c6f636b5f73697a6520a76c6f72615f696405a66d656469756da3475055a96c6f72615f6e616d65a9636861742d6c6f7261aa65787472615f6b6579739292a9636861742d6c6f7261a874656e616e742d6291a9636861742d6c6f7261a967726f75705f69647800b26b765f63616368655f737065635f6b696e64ae66756c6c5f617474656e74696f6e00',
  },
  {
    name: 'vLLM 0.32: a clear alone',
    encoding: 'vllm',
    batch: { timeS: timeOf('41dac059b5cb103d'), rank: 0, events: [{ type: 'AllBlocksCleared' }] },
    hex: '93cb41dac059b5cb103d9181a474797065b0416c6c426c6f636b73436c656172656400',
  },
  {
    name: 'vLLM 0.32: a removal',
    encoding: 'vllm',
    batch: {
      timeS: 1795254625.2772264,
      rank: 0,
      events: [{ type: 'BlockRemoved', names: [17624792052571560097n], medium: 'GPU', groupIdx: 0 }],
    },
    hex: '93cb41dac05a5851be149184a474797065ac426c6f636b52656d6f766564ac626c6f636b5f68617368657391cff497d6fddda7d8a1a66d656469756da3475055a967726f75705f6964780000',
  },
]

for (const { name, encoding, batch, hex } of fixtures) {
  test(`${name} has the bytes of the engine`, () => {
    assert.equal(new BatchEncoder(encoding).encode(batch).toString('hex'), hex)
  })
}

test('an array ends with its last optional field that has a value; nil stands for those before', () => {
  const stored: KvEvent = { ...plainRun, names: [1n], tokenIds: run(7, 1), blockSize: 1, medium: 'GPU', groupIdx: 3 }
  const bytes = new BatchEncoder('vllm-array').encode({ timeS: 1, rank: 1, events: [stored] })
  assert.deepEqual(decode(bytes), [1, [['BlockStored', [1], null, [7], 1, null, 'GPU', null, null, 3]], 1])
})

test('SGLang has signed hashes, no names of adapters, and no rank in older builds', () => {
  const stored: KvEvent = { ...plainRun, names: [hash], tokenIds: run(7, 1), blockSize: 1, medium: 'GPU' }
  const events: KvEvent[] = [stored, { type: 'BlockRemoved', names: [hash], medium: 'GPU' }]
  const bytes = new BatchEncoder('sglang').encode({ timeS: 2, rank: undefined, events })
  assert.deepEqual(decode(bytes, { useBigInt64: true }), [
    2,
    [
      ['BlockStored', [BigInt.asIntN(64, hash)], null, [7], 1, null, 'GPU'],
      ['BlockRemoved', [BigInt.asIntN(64, hash)], 'GPU'],
    ],
  ])
})

test('an independent decoder reads back every integer, and each has its shortest form', () => {
  const edges = [
    0n,
    0x7fn,
    0x80n,
    0xffn,
    0x100n,
    0xffffn,
    0x10000n,
    0xffffffffn,
    0x100000000n,
    2n ** 53n,
    2n ** 64n - 1n,
  ]
  const negative = [-1n, -32n, -33n, -128n, -129n, -32768n, -32769n, -(2n ** 31n), -(2n ** 31n) - 1n, -(2n ** 63n)]
  const writer = new MsgpackWriter()
  const sizes = [...edges, ...negative].map((value) => {
    writer.int(value)
    const bytes = writer.take()
    assert.equal(BigInt(decode(bytes, { useBigInt64: true }) as number | bigint), value)
    return bytes.length
  })
  assert.deepEqual(sizes, [1, 1, 2, 2, 3, 3, 5, 5, 9, 9, 9, 1, 1, 2, 2, 3, 3, 5, 5, 9, 9])
})

test('an independent decoder reads back texts, bytes, arrays and maps of every size', () => {
  const text = fc.oneof(
    fc.string({ maxLength: 40 }),
    fc.nat(70_000).map((size) => 'é'.repeat(size)),
  )
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.nat(70_000).map((size) => new Uint8Array(size)),
  )
  const numbers = fc.oneof(
    fc.array(fc.nat(0xffffffff), { maxLength: 40 }),
    fc.nat(70_000).map((size) => run(0, size)),
  )
  const entries = fc.oneof(fc.nat(40), fc.constant(3000))
  const writer = new MsgpackWriter()
  const property = fc.property(text, bytes, numbers, entries, (someText, someBytes, someNumbers, count) => {
    writer.array(4)
    writer.text(someText)
    writer.bytes(someBytes)
    writer.array(someNumbers.length)
    for (const value of someNumbers) writer.uint(value)
    writer.map(count)
    for (let i = 0; i < count; i++) {
      writer.uint(i)
      writer.float(i / 3)
    }
    const [gotText, gotBytes, gotNumbers, gotMap] = decode(writer.take()) as [string, Uint8Array, number[], object]
    assert.equal(gotText, someText)
    assert.deepEqual([...gotBytes], [...someBytes])
    assert.deepEqual(gotNumbers, [...someNumbers])
    assert.deepEqual(gotMap, Object.fromEntries(Array.from({ length: count }, (_, i) => [i, i / 3])))
  })
  fc.assert(property, { numRuns: 30, seed: 5 })
})
