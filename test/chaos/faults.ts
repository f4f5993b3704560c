import type { RefusalReason } from '#core/refusal.ts'
import { engineErrorBody, engineErrorEvent } from './content.ts'
import type { EngineCall } from './engine-call.ts'

/**
 * How an answer ends for a client that stays. `whole`: everything the engine meant to send, byte for byte. `error-event`:
 * a part of it, then an error event of the gateway. `cut`: a part of it, and the connection ends in a way that no client
 * can take for success. A refusal reason: the gateway's own answer.
 */
export type Ending = 'whole' | 'error-event' | 'cut' | RefusalReason

/** One way an engine can fail, and what must come of it. */
export interface FaultRow {
  readonly name: string
  readonly weight: number
  readonly only?: 'stream' | 'unary'
  /** Makes the gateway leave the endpoint alone for a while: only where other requests bear that. */
  readonly shaky?: boolean
  /** Whether the engine acts before it has read the body. */
  readonly atHead?: boolean
  /** What the client may get when this was the last delivery. */
  readonly ends: readonly Ending[]
  /** Whether the gateway may try the request elsewhere. */
  readonly elsewhere?: boolean
  /** What the engine does, for the documentation. */
  readonly means: string
  /** What the engine does. */
  readonly act: (call: EngineCall) => Promise<void> | void
}

const broken: readonly Ending[] = ['error-event', 'cut']
const brokenOrLost: readonly Ending[] = [...broken, 'upstream-reset']

/** Response heads that must not be understood in any way: each could mean two things. */
const malformedHeads = [
  'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
  'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello',
  'HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nhello',
  'HTTP/1.1 200 OK\r\ncontent-length: 0x5\r\n\r\nhello',
  'HTTP/1.1 200 OK\r\ncontent-length : 5\r\n\r\nhello',
  'HTTP/1.1 200 OK\r\nx-a: b\r\n c\r\ncontent-length: 5\r\n\r\nhello',
  'HTTP/1.1 200 OK\r\nx-a: b\x00c\r\ncontent-length: 5\r\n\r\nhello',
  'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nhello',
  'HTTP/2.0 200 OK\r\ncontent-length: 5\r\n\r\nhello',
  'HTTP/1.1 20 OK\r\ncontent-length: 5\r\n\r\nhello',
  'HTTP/1.1 200 OK\r\nno colon here\r\ncontent-length: 5\r\n\r\nhello',
] as const

async function allButEnd(call: EngineCall): Promise<void> {
  call.head()
  const { pieces } = call
  const [first = ''] = pieces
  if (pieces.length === 1) return call.piece(first.slice(0, Math.ceil(first.length / 2)))
  const stop = 1 + Math.floor(call.rng() * (pieces.length - 1))
  for (let i = 0; i < stop; i++) {
    call.piece(pieces[i] as string)
    if (call.rng() < 0.5) await call.wait(1 + call.rng() * 20)
  }
}

function answerWhole(call: EngineCall): void {
  call.head()
  for (const piece of call.pieces) call.piece(piece)
  call.finish()
}

function ownStatus(status: number, headers = ''): (call: EngineCall) => void {
  return (call) => {
    const body = engineErrorBody(call.plan, call.delivery)
    call.means(status, body)
    call.raw(
      `HTTP/1.1 ${status} No\r\ncontent-type: application/json\r\nx-chaos: ${call.token}\r\n${headers}content-length: ${body.length}\r\n\r\n${body}`,
    )
    call.done()
  }
}

/** Every fault, healthy ones first: the order is that of the table in docs/resilience.md. */
export const faultRows: readonly FaultRow[] = [
  {
    name: 'ok',
    weight: 4,
    ends: ['whole'],
    means: 'answers',
    act: answerWhole,
  },
  {
    name: 'ok-late',
    weight: 4,
    ends: ['whole'],
    means: 'answers after 50 to 300 ms',
    act: async (call) => {
      await call.wait(50 + 250 * call.rng())
      answerWhole(call)
    },
  },
  {
    name: 'ok-with-pauses',
    weight: 4,
    ends: ['whole'],
    means: 'pauses between the pieces of its answer',
    act: async (call) => {
      call.head()
      for (const [i, piece] of call.pieces.entries()) {
        if (i < 12) await call.wait(call.rng() * 60)
        call.piece(piece)
      }
      call.finish()
    },
  },
  {
    name: 'ok-byte-by-byte',
    weight: 3,
    ends: ['whole'],
    means: 'sends its answer byte by byte',
    act: async (call) => {
      call.drips = true
      call.head()
      for (const piece of call.pieces) call.piece(piece)
      call.finish()
      await call.dripped()
    },
  },
  {
    name: 'ok-interim',
    weight: 2,
    ends: ['whole'],
    means: 'sends 100 and 103 first',
    act: (call) => {
      call.raw('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n')
      answerWhole(call)
    },
  },
  {
    name: 'ok-long-head',
    weight: 2,
    ends: ['whole'],
    means: 'sends 40 KB of headers',
    act: (call) => {
      call.extraHeaders = Array.from({ length: 40 }, (_, i) => `x-long-${i}: ${'v'.repeat(1000)}\r\n`).join('')
      answerWhole(call)
    },
  },
  {
    name: 'ok-then-closes',
    weight: 6,
    ends: ['whole'],
    means: 'closes the idle connection right after its answer, without a word',
    act: (call) => {
      answerWhole(call)
      call.end()
    },
  },
  {
    name: 'ok-then-babbles',
    weight: 3,
    ends: ['whole'],
    means: 'sends bytes behind the end of its answer',
    act: (call) => {
      // Bytes that come much later than the end of a long answer could only be told from the next answer by waiting.
      if (call.plan.framing === 'close' || call.plan.answerBytes > 20_000) return answerWhole(call)
      call.joined(() => {
        answerWhole(call)
        call.raw('HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nnot')
      })
    },
  },
  {
    name: 'ok-before-body',
    weight: 2,
    atHead: true,
    ends: ['whole'],
    means: 'answers before it has read the request body',
    act: answerWhole,
  },
  {
    name: 'refuses-before-body',
    weight: 2,
    atHead: true,
    elsewhere: true,
    ends: ['whole', 'upstream-reset', 'cut'],
    means: 'answers 413 and closes before it has read the request body',
    act: async (call) => {
      ownStatus(413, 'connection: close\r\n')(call)
      if (call.rng() < 0.5) return call.end()
      await call.wait(5)
      call.reset()
    },
  },
  { name: 'status-400', weight: 2, ends: ['whole'], means: 'answers 400', act: ownStatus(400) },
  { name: 'status-500', weight: 4, ends: ['whole'], means: 'answers 500 (it may be the prompt)', act: ownStatus(500) },
  {
    name: 'status-429',
    weight: 3,
    shaky: true,
    elsewhere: true,
    ends: ['whole'],
    means: 'answers 429',
    act: ownStatus(429),
  },
  {
    name: 'status-429-wait',
    weight: 3,
    shaky: true,
    elsewhere: true,
    ends: ['whole'],
    means: 'answers 429 with retry-after',
    act: ownStatus(429, 'retry-after: 1\r\n'),
  },
  {
    name: 'status-503',
    weight: 3,
    shaky: true,
    elsewhere: true,
    ends: ['whole'],
    means: 'answers 503',
    act: ownStatus(503),
  },
  {
    name: 'status-503-wait',
    weight: 3,
    shaky: true,
    elsewhere: true,
    ends: ['whole'],
    means: 'answers 503 with retry-after',
    act: ownStatus(503, 'retry-after: 1\r\n'),
  },
  {
    name: 'resets-before-head',
    weight: 5,
    elsewhere: true,
    ends: ['upstream-reset'],
    means: 'resets the connection before its answer',
    act: (call) => call.reset(),
  },
  {
    name: 'closes-before-head',
    weight: 4,
    elsewhere: true,
    ends: ['upstream-reset'],
    means: 'closes the connection before its answer',
    act: (call) => call.end(),
  },
  {
    name: 'closes-in-head',
    weight: 3,
    elsewhere: true,
    ends: ['upstream-reset'],
    means: 'closes the connection in the middle of the response head',
    act: (call) => {
      call.raw('HTTP/1.1 200 OK\r\ncontent-ty')
      call.end()
    },
  },
  {
    name: 'resets-after-head',
    weight: 3,
    elsewhere: true,
    ends: ['upstream-reset'],
    means: 'resets the connection behind the response head',
    act: async (call) => {
      call.head()
      await call.wait(5)
      call.reset()
    },
  },
  {
    name: 'closes-after-head',
    weight: 3,
    elsewhere: true,
    ends: ['upstream-reset'],
    means: 'closes the connection behind the response head',
    act: (call) => {
      call.head()
      call.end()
    },
  },
  {
    name: 'resets-midway',
    weight: 5,
    elsewhere: true,
    ends: brokenOrLost,
    means: 'resets the connection in the middle of its answer',
    act: async (call) => {
      await allButEnd(call)
      await call.wait(2)
      call.reset()
    },
  },
  {
    name: 'closes-midway',
    weight: 5,
    elsewhere: true,
    ends: brokenOrLost,
    means: 'closes the connection in the middle of its answer (its length says so)',
    act: async (call) => {
      await allButEnd(call)
      call.end()
    },
  },
  {
    name: 'never-answers',
    weight: 0.6,
    ends: ['upstream-first-byte-timeout'],
    means: 'takes the request and never answers',
    act: (call) => call.hang(),
  },
  {
    name: 'never-reads',
    weight: 0.4,
    atHead: true,
    ends: ['upstream-first-byte-timeout'],
    means: 'accepts and reads nothing of the body',
    act: async (call) => {
      call.stopReading()
      await call.wait(6000)
      // Only whoever reads sees that the other side has gone.
      call.readOn()
    },
  },
  {
    name: 'hangs-after-head',
    weight: 0.4,
    ends: ['upstream-first-byte-timeout'],
    means: 'sends the response head and nothing more',
    act: (call) => {
      call.head()
      return call.hang()
    },
  },
  {
    name: 'hangs-midway',
    weight: 0.6,
    ends: [...broken, 'upstream-idle-timeout'],
    means: 'stops in the middle of its answer',
    act: async (call) => {
      await allButEnd(call)
      await call.hang()
    },
  },
  {
    name: 'says-less-than-it-sends',
    weight: 2,
    only: 'unary',
    ends: ['whole'],
    means: 'announces a shorter body than it sends: the client gets what was announced',
    act: (call) => {
      const text = call.pieces.join('')
      const announced = Math.floor(text.length * 0.7)
      call.announces = announced
      call.joined(() => {
        call.head(announced)
        call.raw(text)
      })
      call.done()
    },
  },
  {
    name: 'bad-chunk-size',
    weight: 3,
    only: 'stream',
    elsewhere: true,
    ends: ['upstream-malformed'],
    means: 'begins its body with a chunk size that is none',
    act: (call) => {
      call.head('chunked')
      call.raw('xyz\r\n')
    },
  },
  {
    name: 'bad-chunk-size-midway',
    weight: 3,
    only: 'stream',
    elsewhere: true,
    ends: [...broken, 'upstream-malformed'],
    means: 'sends a chunk size that is none in the middle of its answer',
    act: async (call) => {
      await allButEnd(call)
      call.raw('-1\r\n')
    },
  },
  {
    name: 'garbage',
    weight: 4,
    elsewhere: true,
    ends: ['upstream-malformed'],
    means: 'sends bytes that are no HTTP',
    act: (call) => call.raw(Buffer.from(Array.from({ length: 300 }, () => 128 + Math.floor(call.rng() * 127)))),
  },
  {
    name: 'ambiguous-head',
    weight: 5,
    elsewhere: true,
    ends: ['upstream-malformed'],
    means: 'sends a response head that can be read in two ways',
    act: (call) => call.raw(malformedHeads[Math.floor(call.rng() * malformedHeads.length)] as string),
  },
  {
    name: 'switches-protocol',
    weight: 1,
    elsewhere: true,
    ends: ['upstream-malformed'],
    means: 'answers 101 without being asked',
    act: (call) => call.raw('HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n'),
  },
  {
    name: 'floods-interim',
    weight: 2,
    elsewhere: true,
    ends: ['upstream-malformed'],
    means: 'sends 103 without end',
    act: async (call) => {
      for (let i = 0; i < 200 && call.isOpen; i++) {
        call.raw('HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n')
        if (i % 20 === 0) await call.wait(1)
      }
    },
  },
  {
    name: 'endless-head',
    weight: 1,
    elsewhere: true,
    ends: ['upstream-malformed'],
    means: 'sends headers without end',
    act: async (call) => {
      call.raw('HTTP/1.1 200 OK\r\n')
      for (let i = 0; i < 300 && call.isOpen; i++) {
        call.raw(`x-${i}: ${'v'.repeat(1000)}\r\n`)
        if (i % 20 === 0) await call.wait(1)
      }
    },
  },
  {
    name: 'error-event-first',
    weight: 3,
    only: 'stream',
    shaky: true,
    elsewhere: true,
    ends: ['whole', 'upstream-error-event'],
    means: 'begins a 200 stream with an error event',
    act: (call) => {
      const event = engineErrorEvent(call.plan, call.delivery)
      call.means(200, event)
      call.head()
      call.piece(event)
      call.finish()
    },
  },
  {
    name: 'error-event-midway',
    weight: 3,
    only: 'stream',
    ends: ['whole'],
    means: 'ends a stream with an error event of its own',
    act: async (call) => {
      const event = engineErrorEvent(call.plan, call.delivery)
      const { pieces } = call
      // Behind the first content: what comes before is no answer yet, and the gateway may ask elsewhere.
      const first = call.plan.api === 'messages' ? 2 : 1
      const sent = Math.max(first, Math.min(pieces.length - 2, Math.floor(call.rng() * pieces.length)))
      call.breaksAfter(sent, event)
      call.head()
      for (let i = 0; i < sent; i++) call.piece(pieces[i] as string)
      if (call.rng() < 0.5) await call.wait(5)
      call.piece(event)
      call.finish()
    },
  },
  {
    name: 'empty',
    weight: 1,
    ends: ['whole'],
    means: 'answers 200 with an empty body',
    act: (call) => {
      call.means(200, '')
      call.head(0)
      call.done()
    },
  },
]

const byName: ReadonlyMap<string, FaultRow> = new Map(faultRows.map((row) => [row.name, row]))

/** The row of a fault. */
export function faultOf(name: string): FaultRow {
  return byName.get(name) as FaultRow
}
