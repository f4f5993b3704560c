import { type ByteList, byteRange } from '#struct/byte-list.ts'
import type { MediaKind, MediaPart } from './media-finder.ts'

/**
 * What a part counts as where its payload does not tell: a picture of 1024 x 1024, 40 s of sound, 20 frames of video of
 * 360 lines, a file of a few pages.
 */
const usualTokens: Readonly<Record<MediaKind, number>> = { image: 1024, audio: 512, video: 4096, file: 2048 }

/** As the Endpoint Picker counts (endpoint-picker.md 4.6): a token stands for so many pixels. */
const pixelsPerToken = 1024

/** Engines scale greater pictures down, each at its own size. */
const mostImageTokens = 4096

/** Sound of 128 kbit/s at 12.5 tokens a second: so many bytes are one token. */
const audioBytesPerToken = 1280
const mostAudioTokens = 16_384

const maxPrefixLength = 128

/** Segments of a JPEG that are walked to the one that tells its size. */
const maxSegments = 64

/** Bytes looked at in one place. */
const windowBytes = 32

/**
 * How many tokens an engine will make of each part of a body, in order, roughly: pictures by the size that their first bytes
 * tell, sound by its length, all others by kind.
 */
export function mediaTokensOf(parts: readonly MediaPart[], body: ByteList): number[] {
  // What lies before a part need not be walked over for each of those behind it.
  let rest = body
  let base = 0
  return parts.map(({ start, end, kind }) => {
    let skipped = 0
    for (const { length } of rest) {
      if (base + length > start) break
      base += length
      skipped++
    }
    if (skipped > 0) rest = rest.slice(skipped)
    return tokensOf({ start: start - base, end: end - base, kind }, rest)
  })
}

function tokensOf({ start, end, kind }: MediaPart, body: ByteList): number {
  const prefix = byteRange(body, start, Math.min(end, start + maxPrefixLength)).toString('latin1')
  const isUrl = prefix.startsWith('data:') || /^https?:/i.test(prefix)
  const payload = start + (isUrl ? prefix.indexOf('base64,') + 'base64,'.length : 0)
  if (isUrl && !prefix.includes('base64,')) return usualTokens[kind]
  if (kind === 'audio') return soundTokensOf(0.75 * (end - payload))
  if (kind !== 'image') return usualTokens[kind]
  const pixels = pixelsOf((offset) => decoded(body, payload + 4 * Math.floor(offset / 3), end, offset % 3))
  return pixels > 0 ? Math.min(mostImageTokens, Math.ceil(pixels / pixelsPerToken)) : usualTokens.image
}

/** How many tokens an engine will make of so many bytes of sound, at least 1. */
export function soundTokensOf(bytes: number): number {
  return Math.max(1, Math.min(mostAudioTokens, Math.ceil(bytes / audioBytesPerToken)))
}

/** Bytes of a file from an offset on, `windowBytes` at most. */
type Reader = (offset: number) => Buffer

/** The bytes that base64 text stands for, from `at` on, without the first `skipped`. */
function decoded(body: ByteList, at: number, end: number, skipped: number): Buffer {
  const chars = 4 * Math.ceil((windowBytes + skipped) / 3)
  const text = byteRange(body, Math.min(at, end), Math.min(end, at + chars)).toString('latin1')
  return Buffer.from(text, 'base64').subarray(skipped)
}

/** Width times height of a picture by its first bytes; 0 when they do not tell. */
function pixelsOf(read: Reader): number {
  const head = read(0)
  if (head.length < 30) return 0
  if (head.readUInt32BE(0) === 0x89504e47) return head.readUInt32BE(16) * head.readUInt32BE(20)
  if (head.toString('latin1', 0, 4) === 'GIF8') return head.readUInt16LE(6) * head.readUInt16LE(8)
  if (head.toString('latin1', 8, 12) === 'WEBP') return webpPixels(head)
  return head.readUInt16BE(0) === 0xffd8 ? jpegPixels(read) : 0
}

function webpPixels(head: Buffer): number {
  const format = head.toString('latin1', 12, 16)
  if (format === 'VP8X') return (head.readUIntLE(24, 3) + 1) * (head.readUIntLE(27, 3) + 1)
  if (format === 'VP8 ') return (head.readUInt16LE(26) & 0x3fff) * (head.readUInt16LE(28) & 0x3fff)
  if (format !== 'VP8L') return 0
  const bits = head.readUInt32LE(21)
  return ((bits & 0x3fff) + 1) * (((bits >>> 14) & 0x3fff) + 1)
}

/** The start-of-frame segment has the size; those before it may hold other pictures and profiles. */
function jpegPixels(read: Reader): number {
  let at = 2
  for (let i = 0; i < maxSegments; i++) {
    const segment = read(at)
    if (segment.length < 9 || segment[0] !== 0xff) return 0
    const marker = segment[1] as number
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc
    if (isFrame) return segment.readUInt16BE(5) * segment.readUInt16BE(7)
    at += 2 + segment.readUInt16BE(2)
  }
  return 0
}
