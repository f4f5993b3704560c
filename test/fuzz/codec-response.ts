import { ResponseReader } from '#proxy/response-reader.ts'
import type { ParsedResponseHead } from '#wire/http1/response-head.ts'
import type { Codec, Verdict } from './codec.ts'
import { responseStream } from './generate.ts'
import { type Message, type Reading, readWithLlhttp } from './llhttp.ts'
import { slicesOf } from './random.ts'

interface Answer {
  readonly head: Pick<ParsedResponseHead, 'status' | 'headers'> | undefined
  /** As latin1. */
  readonly body: string
  readonly complete: boolean
  /** Whether the connection would carry another request. */
  readonly goesOn: boolean
  readonly error: string | undefined
}

/** Streams of answers to POST, or to HEAD, beside llhttp. */
export function responseCodec(isHead: boolean): Codec {
  return {
    name: isHead ? 'response-head' : 'response',
    generate: responseStream,
    check(input: Buffer, cuts: readonly number[]): Verdict {
      const [whole] = answersOf([input], isHead)
      const [cut] = answersOf(slicesOf(input, cuts), isHead)
      const bytes = answersOf(bytesOf(input), isHead)
      const accepted = bytes.some((answer) => answer.complete) && bytes.every((answer) => answer.error === undefined)
      const difference =
        splitDifference(whole, cut) ??
        splitDifference(whole, bytes[0]) ??
        judged(bytes, readWithLlhttp('response', input, isHead))
      return { accepted, difference }
    },
  }
}

function bytesOf(input: Buffer): Buffer[] {
  return Array.from(input, (_, i) => input.subarray(i, i + 1))
}

/** Reads one answer after the other as a connection does: what comes behind the end of one, in one read, ends it. */
function answersOf(slices: readonly Buffer[], isHead: boolean): Answer[] {
  const reader = new ResponseReader()
  const answers: Answer[] = []
  const memory = Buffer.alloc(Math.max(1, ...slices.map((slice) => slice.length)) + 8)
  let next = 0
  let goesOn = true
  while (goesOn && (next < slices.length || answers.length === 0)) {
    let head: Answer['head']
    const parts: string[] = []
    const sink = {
      head: ({ status, headers }: ParsedResponseHead) => {
        head = { status, headers }
      },
      data: (data: Buffer, start: number, end: number) => void parts.push(data.toString('latin1', start, end)),
    }
    reader.begin(isHead)
    while (next < slices.length && !reader.complete && reader.error === undefined) {
      const slice = slices[next++] as Buffer
      slice.copy(memory)
      // What an earlier, longer read left behind must not be taken for input.
      memory.write('\r\n\r\n0\r\n\r\n', slice.length, 'latin1')
      reader.read(memory, slice.length, sink)
    }
    goesOn = reader.complete && reader.keepAlive
    answers.push({ head, body: parts.join(''), complete: reader.complete, goesOn, error: reader.error })
  }
  return answers
}

/** `goesOn` is not compared: it depends on what came in the same read. */
function splitDifference(whole: Answer | undefined, cut: Answer | undefined): string | undefined {
  const parts = [whole, cut].map((answer) => JSON.stringify({ ...answer, goesOn: undefined }))
  return parts[0] === parts[1] ? undefined : `cut, it reads differently:\n  whole ${parts[0]}\n  cut   ${parts[1]}`
}

function judged(ours: readonly Answer[], theirs: Reading): string | undefined {
  const finals = theirs.messages.filter(({ status }) => status >= 200)
  for (const [i, answer] of ours.entries()) {
    if (answer.error !== undefined || answer.head === undefined) return undefined
    const message = finals[i]
    if (message === undefined || (answer.complete && !message.complete))
      return `only we accept answer ${i}: llhttp says ${theirs.error ?? 'it is incomplete'}\n  ${JSON.stringify(answer)}`
    const difference = answerDifference(answer, message, theirs.error)
    if (difference !== undefined) return `answer ${i}: ${difference}`
  }
  return undefined
}

function answerDifference(answer: Answer, message: Message, error: string | undefined): string | undefined {
  const ours = JSON.stringify([answer.head?.status, answer.head?.headers, answer.body])
  const read = JSON.stringify([message.status, message.headers, message.body])
  if (ours !== read) return `it reads differently:\n  ours   ${ours}\n  llhttp ${read}`
  if (answer.complete || error !== undefined) return undefined
  return message.complete ? 'we wait for more where llhttp has read it whole' : undefined
}
