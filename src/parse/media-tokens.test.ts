import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MediaKind } from './media-finder.ts'
import { mediaTokensOf, soundTokensOf } from './media-tokens.ts'

function tokensOf(payload: string, kind: MediaKind = 'image'): number {
  const body = Buffer.from(`"${payload}"`)
  const part = { start: 1, end: body.length - 1, kind }
  const [tokens = Number.NaN] = mediaTokensOf([part], [body.subarray(0, 5), body.subarray(5)])
  // The same behind another part, in slices.
  const later = { start: part.start + 7, end: part.end + 7, kind }
  const slices = [Buffer.from('"x'), Buffer.from('"}, {'), body.subarray(0, 9), body.subarray(9)]
  assert.deepEqual(mediaTokensOf([{ start: 1, end: 2, kind: 'file' }, later], slices), [2048, tokens])
  return tokens
}

const rest = Buffer.alloc(4000, 7)

function png(width: number, height: number): Buffer {
  const head = Buffer.alloc(33)
  head.write('\x89PNG\r\n\x1a\n', 0, 'latin1')
  head.write('IHDR', 12, 'latin1')
  head.writeUInt32BE(width, 16)
  head.writeUInt32BE(height, 20)
  return Buffer.concat([head, rest])
}

function gif(width: number, height: number): Buffer {
  const head = Buffer.from('GIF89a____________________________', 'latin1')
  head.writeUInt16LE(width, 6)
  head.writeUInt16LE(height, 8)
  return Buffer.concat([head, rest])
}

function webp(format: string, write: (head: Buffer) => void): Buffer {
  const head = Buffer.alloc(64)
  head.write('RIFF', 0, 'latin1')
  head.write(`WEBP${format}`, 8, 'latin1')
  write(head)
  return head
}

/** With a profile of `profileBytes` before the size, as cameras write them. */
function jpeg(width: number, height: number, profileBytes: number): Buffer {
  const profile = Buffer.alloc(4 + profileBytes)
  profile.writeUInt16BE(0xffe1, 0)
  profile.writeUInt16BE(2 + profileBytes, 2)
  const frame = Buffer.alloc(19)
  frame.writeUInt16BE(0xffc2, 0)
  frame.writeUInt16BE(17, 2)
  frame.writeUInt16BE(height, 5)
  frame.writeUInt16BE(width, 7)
  return Buffer.concat([Buffer.from([0xff, 0xd8]), profile, frame, rest])
}

const pictures: readonly [what: string, picture: Buffer, tokens: number][] = [
  ['png', png(640, 360), 225],
  ['png, tiny', png(1, 1), 1],
  ['png, huge', png(8000, 6000), 4096],
  ['png, broken', png(0, 360), 1024],
  ['gif', gif(320, 320), 100],
  ['webp with more to it', webp('VP8X', (head) => head.writeUIntLE(1023, 24, 3) && head.writeUIntLE(511, 27, 3)), 512],
  ['webp, lossy', webp('VP8 ', (head) => head.writeUInt16LE(640, 26) && head.writeUInt16LE(360, 28)), 225],
  ['webp, lossless', webp('VP8L', (head) => void head.writeUInt32LE(639 | (359 << 14), 21)), 225],
  ['jpeg', jpeg(1024, 768, 14), 768],
  ['jpeg of a camera', jpeg(1024, 768, 60_000), 768],
  ['jpeg, cut off', jpeg(1024, 768, 60_000).subarray(0, 50_000), 1024],
  ['text', Buffer.from('it is no picture at all, whatever they say'), 1024],
  ['nothing', Buffer.alloc(0), 1024],
]

for (const [what, picture, tokens] of pictures) {
  test(`a picture counts by its size: ${what}`, () => {
    const base64 = picture.toString('base64')
    assert.equal(tokensOf(`data:image/x;charset=x;base64,${base64}`), tokens)
    if (picture.length > 0) assert.equal(tokensOf(base64), tokens)
  })
}

test('sound counts by its length, at most 16,384', () => {
  const sound = (bytes: number): string => Buffer.alloc(bytes).toString('base64')
  assert.equal(tokensOf(sound(153_600), 'audio'), 120)
  assert.equal(tokensOf(`data:audio/wav;base64,${sound(153_600)}`, 'audio'), 120)
  assert.equal(soundTokensOf(0), 1)
  assert.equal(soundTokensOf(1e9), 16_384)
})

test('what is elsewhere counts by its kind', () => {
  const url = 'https://a.example/x'
  assert.deepEqual(
    (['image', 'audio', 'video', 'file'] as const).map((kind) => tokensOf(url, kind)),
    [1024, 512, 4096, 2048],
  )
})
