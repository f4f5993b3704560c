/**
 * The smuggling corpus through the whole gateway: each case on a connection of its own, followed by a request that
 * tells whether the gateway has kept its place; what reaches the upstream is read there by Node's own server.
 */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { after, describe, test } from 'node:test'
import { refusals } from '#core/refusal.ts'
import { chatPath, probe, type RequestCase, requestCases } from '#test/smuggling.ts'
import { type ResponseCase, responseCases } from '#test/smuggling-responses.ts'
import { RunningGateway } from './support/gateway.ts'
import { RawUpstream } from './support/raw-upstream.ts'

const validBody = '{"model":"tiny"}'

interface Arrival {
  readonly line: string
  readonly body: string
}

let arrivals: Arrival[] = []
let garbage = 0
const engine = createServer((request, response) => {
  const parts: Buffer[] = []
  request.on('data', (part: Buffer) => void parts.push(part))
  request.on('end', () => {
    arrivals.push({ line: `${request.method} ${request.url}`, body: Buffer.concat(parts).toString('latin1') })
    response.end('{"ok":1}')
  })
})
engine.on('clientError', (_error, socket) => {
  garbage++
  socket.destroy()
})
await new Promise<void>((resolve) => engine.listen(0, '127.0.0.1', resolve))
const wrong = await RawUpstream.start(() => {})
/** However often it fails, it is asked again. */
const ejection = { failures: 0, successRatio: 0 }
const model = (url: string): object => ({ endpoints: [url], scrape: false, ejection, retry: { attempts: 0 } })
const closeUpstreams = async (): Promise<void> => {
  engine.closeAllConnections()
  engine.close()
  await wrong.close()
}
const gateway = await RunningGateway.start(
  {
    models: {
      tiny: model(`http://127.0.0.1:${(engine.address() as AddressInfo).port}`),
      wrong: model(wrong.url),
    },
  },
  { onFailure: closeUpstreams },
)
after(async () => {
  try {
    await gateway.close()
  } finally {
    await closeUpstreams()
  }
})

/** Statuses of the answers on a connection to which `bytes` and the probe are sent, until it ends or `count` came. */
async function answersTo(bytes: string, count: number): Promise<{ statuses: number[]; ended: boolean }> {
  const socket = connect({ port: gateway.port, host: '127.0.0.1', noDelay: true })
  socket.setEncoding('latin1').setTimeout(5000, () => socket.destroy())
  socket.write(Buffer.from(bytes + probe, 'latin1'))
  let text = ''
  let ended = false
  await new Promise<void>((resolve) => {
    socket.on('error', () => resolve())
    socket.on('close', () => resolve())
    socket.on('end', () => {
      ended = true
      resolve()
    })
    socket.on('data', (part: string) => {
      text += part
      if (count > 1 && finalStatuses(text).length === count) resolve()
    })
  })
  socket.destroy()
  return { statuses: finalStatuses(text), ended }
}

function finalStatuses(text: string): number[] {
  return Array.from(text.matchAll(/HTTP\/1\.1 ([2-5]\d\d) /g), ([, status]) => Number(status))
}

async function checkRequest({ answer, bytes, body = validBody }: RequestCase): Promise<void> {
  arrivals = []
  const { statuses, ended } = await answersTo(bytes, answer === 'served' ? 2 : 1)
  assert.equal(statuses.length, answer === 'served' ? 2 : 1)
  assert.deepEqual([ended, garbage], [answer !== 'served', 0])
  if (answer === 'served') assert.equal(statuses[1], 200)
  else if (answer !== 'ends') assert.equal(statuses[0], refusals[answer].http)
  const expected: Arrival[] = []
  if (statuses[0] === 200) expected.push({ line: `POST ${chatPath}`, body })
  if (answer === 'served') expected.push({ line: `POST ${chatPath}?probe`, body: validBody })
  assert.deepEqual(arrivals, expected)
}

describe('no request of a client reaches an upstream as two', () => {
  for (const one of requestCases) test(`${one.group}: ${one.name} -> ${one.answer}`, () => checkRequest(one))
})

async function askWrong(): Promise<{ status: number; body: string }> {
  const init = { method: 'POST', body: '{"model":"wrong"}', headers: { 'content-type': 'application/json' } }
  const response = await fetch(`${gateway.url}${chatPath}`, init)
  return { status: response.status, body: await response.text().catch(() => '(cut)') }
}

/** Answers the first request with the case, and ends the connection where nothing else would end the answer. */
async function checkResponse({ bytes, answer, body = '' }: ResponseCase): Promise<void> {
  const isOpenEnded = answer === 'cut' || (answer === 'dropped' && !/content-length|chunked/.test(bytes))
  wrong.answer = (socket, request) => {
    if (!request.startsWith('POST ')) return void socket.destroy()
    socket.write(Buffer.from(bytes, 'latin1'))
    if (isOpenEnded) socket.end()
  }
  const { status, body: got } = await askWrong()
  wrong.answer = (socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{"right":1}')
  assert.deepEqual(await askWrong(), { status: 200, body: '{"right":1}' })
  if (answer === 'refused') assert.equal(status, 502)
  else if (answer === 'cut') assert.ok(got === '(cut)' || status === 502, `${status} ${got}`)
  else assert.equal(got, body)
}

describe('no answer of an upstream reaches a client as two, nor the next client', () => {
  for (const one of responseCases) test(`${one.name} -> ${one.answer}`, () => checkResponse(one))
})
