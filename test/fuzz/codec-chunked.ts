import { ChunkDecoder } from '#wire/http1/chunk-decoder.ts'
import type { Codec, Verdict } from './codec.ts'
import { chunkedText } from './generate.ts'
import { readWithLlhttp } from './llhttp.ts'
import { slicesOf } from './random.ts'

interface Decoded {
  /** As latin1. */
  readonly data: string
  /** Bytes up to the end of the body; -1 when it has not ended. */
  readonly end: number
  readonly error: string | undefined
}

const head = Buffer.from('POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n')
const texts = ['', 'x', 'hello world', '\r\n0\r\n\r\n', '\0\xff;"', 'y'.repeat(40)]

/** Chunked bodies beside llhttp. */
export const chunkedCodec: Codec = {
  name: 'chunked',
  generate: (random) => chunkedText(random.of(texts), random) + (random.chance(0.3) ? 'GET / HTTP/1.1\r\n' : ''),
  check(input: Buffer, cuts: readonly number[]): Verdict {
    const whole = decode([input])
    const cut = decode(slicesOf(input, cuts))
    const accepted = whole.end >= 0
    const [a, b] = [JSON.stringify(whole), JSON.stringify(cut)]
    if (a !== b) return { accepted, difference: `cut, it reads differently:\n  whole ${a}\n  cut   ${b}` }
    return { accepted, difference: judged(whole, input) }
  },
}

function decode(slices: readonly Buffer[]): Decoded {
  const decoder = new ChunkDecoder()
  let data = ''
  let before = 0
  for (const slice of slices) {
    let pos = 0
    while (pos < slice.length && !decoder.done && decoder.error === undefined) {
      pos = decoder.next(slice, pos, slice.length)
      data += slice.toString('latin1', decoder.dataStart, decoder.dataEnd)
    }
    if (decoder.done) return { data, end: before + pos, error: undefined }
    before += slice.length
  }
  return { data, end: -1, error: decoder.error }
}

function judged(ours: Decoded, input: Buffer): string | undefined {
  if (ours.error !== undefined) return undefined
  const body = ours.end < 0 ? input : input.subarray(0, ours.end)
  const { messages, error } = readWithLlhttp('request', Buffer.concat([head, body]))
  const [message] = messages
  // Until the end has come nothing is accepted.
  if (ours.end < 0 && error !== undefined) return undefined
  if (error !== undefined || message === undefined) return `only we accept it: llhttp says ${error}`
  const [a, b] = [JSON.stringify([ours.data, ours.end >= 0]), JSON.stringify([message.body, message.complete])]
  return a === b ? undefined : `it reads differently:\n  ours   ${a}\n  llhttp ${b}`
}
