/**
 * What a simulated model server costs: streams of several kinds, read by a second process. Prints the chunks for each second of
 * CPU time of this process (all its threads), and how much later than the model's own times chunks reach the client: against
 * the earliest of each stream, for tokens that are a fixed time apart.
 *
 *   scripts/run node bench/micro/simulator.ts [streams] [seconds]
 */
import { fork } from 'node:child_process'
import { connect } from 'node:net'
import type { SimOptions } from '#sim/options.ts'
import { startSim } from '#sim/server.ts'

interface Load {
  readonly port: number
  readonly path: string
  readonly body: string
  readonly streams: number
  readonly tpotMs: number
  /** Events that come before or with the first token, less that of the token. */
  readonly opening: number
}

interface Seen {
  readonly chunks: number
  readonly seconds: number
  /** How late tokens came, each in milliseconds. */
  readonly lateMs: readonly number[]
}

/** Reads one stream to its end; returns when each event came. */
function readStream({ port, path, body }: Load): Promise<number[]> {
  return new Promise((resolve, reject) => {
    const atMs: number[] = []
    const socket = connect(port, '127.0.0.1')
    socket.setNoDelay(true)
    socket.on('error', reject)
    socket.on('data', (bytes) => {
      const nowMs = performance.now()
      for (let at = bytes.indexOf('data:'); at >= 0; at = bytes.indexOf('data:', at + 5)) atMs.push(nowMs)
    })
    socket.on('end', () => resolve(atMs))
    const head = [`POST ${path} HTTP/1.1`, 'host: sim', 'content-type: application/json', 'connection: close']
    socket.write(`${head.join('\r\n')}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
  })
}

/** How late each event of a stream is against the one that came soonest after its due time. */
function lateness(atMs: readonly number[], tpotMs: number): number[] {
  const offsets = atMs.map((ms, i) => ms - i * tpotMs)
  const least = Math.min(...offsets)
  return offsets.map((offset) => offset - least)
}

async function serveLoads(): Promise<void> {
  const load = await new Promise<Load>((resolve) => process.once('message', (message) => resolve(message as Load)))
  const startedMs = performance.now()
  const streams = await Promise.all(Array.from({ length: load.streams }, () => readStream(load)))
  const seconds = (performance.now() - startedMs) / 1_000
  const seen: Seen = {
    chunks: streams.reduce((sum, { length }) => sum + length, 0),
    seconds,
    // What ends a stream comes with its last token.
    lateMs: load.tpotMs === 0 ? [] : streams.flatMap((atMs) => lateness(atMs.slice(load.opening, -6), load.tpotMs)),
  }
  process.send?.(seen, () => process.exit(0))
}

interface Case {
  readonly name: string
  readonly options: SimOptions
  readonly path: string
  readonly body: Readonly<Record<string, unknown>>
  readonly opening: number
  readonly tokens?: number
}

const streams = Number(process.argv[2] ?? 100)
const measuredS = Number(process.argv[3] ?? 4)
const tpotMs = 20

const messages = [{ role: 'user', content: 'the quick brown fox jumps over the lazy dog '.repeat(20) }]
const chat = { path: '/v1/chat/completions', body: { messages, stream: true }, opening: 1 }
const paced = { ttftMs: 100, tpotMs }
const usage = { stream_options: { include_usage: true, continuous_usage_stats: true } }

const cases: readonly Case[] = [
  { name: 'vLLM chat', options: paced, ...chat },
  { name: 'vLLM chat, usage on every chunk', options: paced, ...chat, body: { ...chat.body, ...usage } },
  {
    name: 'vLLM messages',
    options: paced,
    path: '/v1/messages',
    body: { ...chat.body, model: 'sim-model' },
    opening: 2,
  },
  {
    name: 'vLLM responses',
    options: paced,
    path: '/v1/responses',
    body: { input: messages, stream: true },
    opening: 4,
  },
  { name: 'SGLang chat', options: { ...paced, engine: 'sglang' }, ...chat },
  { name: 'TGI chat', options: { ...paced, engine: 'tgi' }, ...chat, opening: 0 },
  { name: 'vLLM chat, no pace', options: { ttftMs: 0, tpotMs: 0 }, ...chat, tokens: 1_000 },
]

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

async function measure({ name, options, path, body, opening, tokens }: Case): Promise<void> {
  const sim = await startSim(options)
  const wanted = tokens ?? Math.round((measuredS * 1_000) / tpotMs)
  const limit = path === '/v1/responses' ? { max_output_tokens: wanted } : { max_tokens: wanted }
  const pace = options.tpotMs ?? 0
  const load: Load = {
    port: sim.port,
    path,
    body: JSON.stringify({ ...body, ...limit }),
    streams,
    tpotMs: pace,
    opening,
  }
  await runLoad({ ...load, streams: 4 })
  const started = process.cpuUsage()
  const { chunks, seconds, lateMs } = await runLoad(load)
  const { user, system } = process.cpuUsage(started)
  await sim.close()
  const cpuSeconds = (user + system) / 1e6
  const sorted = lateMs.toSorted((a, b) => a - b)
  const late = [0.5, 0.99].map((share) => percentile(sorted, share).toFixed(2).padStart(9))
  const columns = [chunks / seconds, chunks / cpuSeconds].map((value) => value.toFixed(0).padStart(12))
  console.log(`${name.padEnd(34)}${columns.join('')}${pace === 0 ? '' : late.join('')}`)
}

async function runLoad(load: Load): Promise<Seen> {
  const client = fork(new URL(import.meta.url), ['client'])
  const seen = new Promise<Seen>((resolve, reject) => {
    client.once('message', (message) => resolve(message as Seen))
    client.once('error', reject)
  })
  client.send(load)
  return seen
}

if (process.argv[2] === 'client') {
  await serveLoads()
} else {
  const heads = ['chunks/s', 'per CPU s'].map((head) => head.padStart(12)).join('')
  console.log(`${`${streams} streams`.padEnd(34)}${heads}${'p50 ms'.padStart(9)}${'p99 ms'.padStart(9)} late`)
  for (const each of cases) await measure(each)
}
