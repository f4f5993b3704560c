/** Cost of finding the model in a request body: `scripts/run node bench/micro/json.ts`. */
import { seededRng } from '#core/clock.ts'
import { ObjectScanner } from '#wire/json/object-scanner.ts'

const rounds = 9
const roundMs = 40
/** Size of a socket read: how bodies arrive. */
const sliceBytes = 64 * 1024

const rng = seededRng(1)
const words = 'the model reads what a user wrote and answers with one token after the other until it is done'.split(' ')
const word = (): string => words[Math.floor(rng() * words.length)] as string

/** Prose: an escape about every 150 bytes. */
function prose(bytes: number): string {
  let text = ''
  while (text.length < bytes) text += rng() < 0.03 ? `${word()}.\n` : `${word()} `
  return text.slice(0, bytes)
}

/** Source code: quotes, line ends and indentation, an escape about every 12 bytes. */
function code(bytes: number): string {
  let text = ''
  while (text.length < bytes) text += `\tconst ${word()} = "${word()}" + '\\n'\n`
  return text.slice(0, bytes)
}

function request(content: string): Buffer {
  const messages = [
    { role: 'system', content: 'You are a helpful assistant.' },
    { role: 'user', content },
  ]
  return Buffer.from(
    JSON.stringify({ model: 'llama-3.1-8b', messages, temperature: 0.7, max_tokens: 256, stream: true }),
  )
}

/** A conversation: many short strings, as agents send them. */
function turns(bytes: number): Buffer {
  const messages: object[] = []
  for (let size = 0; size < bytes; size += 230) {
    messages.push({ role: 'user', content: prose(120) }, { role: 'assistant', content: prose(40), name: null })
  }
  return Buffer.from(JSON.stringify({ model: 'llama-3.1-8b', messages, stream: true }))
}

const wanted = new Set(['model', 'stream', 'stream_options', 'messages', 'max_tokens', 'user'])
const scanner = new ObjectScanner(wanted)

function scan(body: Buffer): void {
  scanner.reset()
  for (let at = 0; at < body.length; at += sliceBytes) scanner.push(body, at, Math.min(at + sliceBytes, body.length))
  scanner.finish()
  if (scanner.error !== undefined || scanner.members[0]?.key !== 'model') throw new Error('the scan failed')
}

/** Median over rounds: other work on the machine only makes single rounds slower. */
function measure(run: () => void): number {
  const perCall: number[] = []
  for (let round = 0; round < rounds; round++) {
    const started = performance.now()
    let calls = 0
    do {
      for (let i = 0; i < 8; i++) run()
      calls += 8
    } while (performance.now() - started < roundMs)
    perCall.push(((performance.now() - started) * 1000) / calls)
  }
  return perCall.toSorted((a, b) => a - b)[rounds >> 1] as number
}

const cases: readonly [name: string, body: Buffer][] = [
  ['small, 150 B', request('Say hello.')],
  ['prose, 20 KB', request(prose(20_000))],
  ['code (escape-dense), 20 KB', request(code(20_000))],
  ['conversation of 176 turns, 20 KB', turns(20_000)],
  ['the same, printed with indents', Buffer.from(JSON.stringify(JSON.parse(turns(20_000).toString()), undefined, 2))],
  ['prose, 220 KB', request(prose(220_000))],
  ['code (escape-dense), 220 KB', request(code(220_000))],
]

console.log(
  `${'body'.padEnd(36)}${'bytes'.padStart(8)}${'us'.padStart(9)}${'ns/byte'.padStart(9)}${'JSON.parse us'.padStart(15)}`,
)
for (const [name, body] of cases) {
  const us = measure(() => scan(body))
  const parseUs = measure(() => void JSON.parse(body.toString('utf8')))
  const perByte = ((us * 1000) / body.length).toFixed(2)
  console.log(
    `${name.padEnd(36)}${String(body.length).padStart(8)}${us.toFixed(2).padStart(9)}${perByte.padStart(9)}${parseUs.toFixed(2).padStart(15)}`,
  )
}
