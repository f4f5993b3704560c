import type { Codec, Verdict } from './codec.ts'
import { type Driven, driveConnection, type Served } from './driven-connection.ts'
import { requestStream } from './generate.ts'
import { knownMethods, type Message, type Reading, readWithLlhttp } from './llhttp.ts'
import { slicesOf } from './random.ts'

/** Streams of requests: a whole connection of the gateway beside llhttp. */
export const requestCodec: Codec = {
  name: 'request',
  generate: requestStream,
  check(input: Buffer, cuts: readonly number[]): Verdict {
    const whole = driveConnection([input])
    const split = driveConnection(slicesOf(input, cuts))
    const accepted = whole.served.length > 0 && whole.refused === undefined
    const difference =
      splitDifference(whole, split) ?? answerDifference(whole) ?? judgeRequests(whole, readWithLlhttp('request', input))
    return { accepted, difference }
  },
}

/** Nothing that a client sends may put an answer of its own among ours. */
function answerDifference({ written, answers }: Driven): string | undefined {
  const { messages, error } = readWithLlhttp('response', Buffer.from(written, 'latin1'))
  const finals = messages.filter(({ status, complete }) => status >= 200 && complete).length
  if (error === undefined && finals === answers) return undefined
  return `${answers} answers were written, ${finals} can be read (${error}): ${JSON.stringify(written)}`
}

function splitDifference(whole: Driven, split: Driven): string | undefined {
  const parts = [whole, split].map(({ served, refused, open }) => JSON.stringify([served, refusedAs(refused), open]))
  return parts[0] === parts[1] ? undefined : `cut, it reads differently:\n  whole ${parts[0]}\n  cut   ${parts[1]}`
}

/** What is wrong in two ways is refused for the one that shows first. */
function refusedAs(reason: string | undefined): string | undefined {
  return reason === 'head-too-large' ? 'malformed-request' : reason
}

/** What llhttp holds against a reading of ours; undefined when nothing. */
export function judgeRequests(ours: Driven, theirs: Reading): string | undefined {
  for (const [i, served] of ours.served.entries()) {
    // Any token is a method here, as RFC 9110 9.1 has it; llhttp knows a closed list and reads no further.
    if (!knownMethods.has(served.method)) return undefined
    const message = theirs.messages[i]
    if (message === undefined || (!message.complete && served.body !== undefined))
      return `only we accept request ${i}: llhttp says ${theirs.error ?? 'it is incomplete'}\n  ${JSON.stringify(served)}`
    const difference = fieldDifference(served, message)
    if (difference !== undefined) return `request ${i}: ${difference}`
  }
  const complete = theirs.messages.filter((message) => message.complete).length
  if (ours.open && complete > ours.served.length) return `we wait for more where llhttp has read ${complete} requests`
  return undefined
}

function fieldDifference(served: Served, message: Message): string | undefined {
  const ours: unknown[] = [served.method, served.body]
  const theirs: unknown[] = [message.method, served.body === undefined ? undefined : message.body]
  // An absolute-form target is taken apart here: path and host.
  if (message.url.startsWith('/')) {
    ours.push(served.target, served.headers)
    theirs.push(message.url, message.headers)
  } else if (!message.url.endsWith(served.target.replace(/^\/(?=\?|$)/, '')))
    return `the target ${served.target} is not in ${message.url}`
  const [a, b] = [JSON.stringify(ours), JSON.stringify(theirs)]
  return a === b ? undefined : `it reads differently:\n  ours   ${a}\n  llhttp ${b}`
}
