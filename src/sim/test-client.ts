import { connect, type Socket } from 'node:net'
import type { Sim } from './server.ts'

/** The end mark of an OpenAI stream. */
const DONE = '[DONE]'

/** How a raw connection ended: closed cleanly, reset, or still open when the wait was over. */
export type RawEnd = 'end' | 'reset' | 'open'

/** Sends JSON with fetch and returns status, headers and text. For tests. */
export async function post(
  sim: Sim,
  path: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ readonly status: number; readonly headers: Headers; readonly text: string }> {
  const response = await fetch(sim.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return { status: response.status, headers: response.headers, text: await response.text() }
}

/** Gets a path and returns the text. For tests. */
export async function get(sim: Sim, path: string): Promise<string> {
  const response = await fetch(sim.url + path)
  return response.text()
}

/** What lies at a path of keys in a value, or in the value that a JSON text stands for; undefined when nothing does. For tests. */
export function pick(from: unknown, ...path: readonly (string | number)[]): unknown {
  if (from === DONE) return undefined
  let value: unknown = typeof from === 'string' ? JSON.parse(from) : from
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = Reflect.get(value, key)
  }
  return value
}

/** The data of each event of a stream, parsed except for `[DONE]`. For tests. */
export function eventsOf(text: string): unknown[] {
  const lines = text.split('\n').filter((line) => line.startsWith('data:'))
  return lines.map((line) => line.slice(5).trim()).map((data) => (data === DONE ? data : JSON.parse(data)))
}

/** Joins the texts among the values. For tests. */
export function joined(values: readonly unknown[]): string {
  return values.filter((value) => typeof value === 'string').join('')
}

/** Opens a connection and sends one JSON request on it. For tests. */
export async function openRaw(sim: Sim, path: string, body: unknown, headers: readonly string[] = []): Promise<Socket> {
  const text = JSON.stringify(body)
  const socket = connect(sim.port, '127.0.0.1')
  socket.on('error', () => {})
  await new Promise((resolve) => socket.once('connect', resolve))
  const head = [
    `POST ${path} HTTP/1.1`,
    'host: sim',
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(text)}`,
    ...headers,
  ]
  socket.write(`${head.join('\r\n')}\r\n\r\n${text}`)
  return socket
}

/** Collects what comes on a connection until it ends, at most `waitMs`. For tests. */
export async function readRaw(socket: Socket, waitMs: number): Promise<{ text: string; end: RawEnd }> {
  let text = ''
  socket.on('data', (bytes) => {
    text += bytes.toString('latin1')
  })
  const end = await new Promise<RawEnd>((resolve) => {
    const timer = setTimeout(() => resolve('open'), waitMs)
    const settle = (how: RawEnd) => {
      clearTimeout(timer)
      resolve(how)
    }
    socket.once('end', () => settle('end'))
    socket.once('error', () => settle('reset'))
  })
  return { text, end }
}

/** Waits until `holds` does, at most two seconds; throws when it never did. For tests. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  const deadlineMs = performance.now() + 2_000
  while (!holds()) {
    if (performance.now() > deadlineMs) throw new Error(`never: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

/** The value of a series on a metrics page, by its name and labels as written; NaN when there is none. For tests. */
export function seriesValue(page: string, series: string): number {
  const line = page.split('\n').find((each) => each.startsWith(`${series} `))
  return line === undefined ? Number.NaN : Number(line.slice(series.length + 1))
}
