import { type Rng, seededRng } from '#core/clock.ts'
import { ClientConnection } from './client-connection.ts'
import type { ClientKind } from './client-kinds.ts'
import { pathOf, requestBody } from './content.ts'
import { badHeads } from './malformed.ts'
import type { SessionPlan } from './plan.ts'
import type { ChaosRecord, Track } from './record.ts'
import type { RequestPlan } from './request-plan.ts'

/** What sessions run against. */
export interface SessionContext {
  readonly port: number
  readonly record: ChaosRecord
  /** Bounds of the gateway under test. */
  readonly limits: { readonly bodyBytes: number; readonly headBytes: number; readonly connections: number }
}

/** Longest time for anything to come to its end. */
const patienceMs = 20_000

interface Session {
  readonly plan: SessionPlan
  readonly context: SessionContext
  readonly rng: Rng
}

interface HeadOptions {
  readonly version?: '1.0' | '1.1'
  readonly headers?: readonly string[]
  readonly chunked?: boolean
}

function headOf(
  plan: RequestPlan,
  body: string,
  { version = '1.1', headers = [], chunked = false }: HeadOptions,
): string {
  const framing = chunked ? 'transfer-encoding: chunked' : `content-length: ${body.length}`
  const lines = [
    `POST ${pathOf(plan)} HTTP/${version}`,
    'host: gateway.test',
    `x-request-id: ${plan.id}`,
    'content-type: application/json',
    framing,
    ...headers,
  ]
  return `${lines.join('\r\n')}\r\n\r\n`
}

function wholeRequest(plan: RequestPlan, options: HeadOptions = {}): string {
  const body = requestBody(plan)
  return headOf(plan, body, options) + body
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

const leaves = ['destroy', 'resetAndDestroy', 'end'] as const

function drawLeave(rng: Rng): (typeof leaves)[number] {
  return leaves[Math.floor(rng() * leaves.length)] ?? 'destroy'
}

/** Clients come from many addresses, as the gateway tells them apart by it. */
function addressOf({ plan }: Session): string {
  return `127.0.0.${2 + (plan.index % 200)}`
}

async function open(session: Session): Promise<ClientConnection> {
  const connection = await ClientConnection.open(session.context.port, addressOf(session))
  if (connection === undefined) throw new Error('the gateway does not accept connections')
  return connection
}

/** Waits for the answer and settles the request; gives whether the connection can carry another. */
async function settle(session: Session, connection: ClientConnection, track: Track): Promise<boolean> {
  const { record } = session.context
  try {
    const answer = await connection.answer(patienceMs)
    if (connection.reader.error !== undefined)
      record.violation(track, `an answer is not HTTP: ${connection.reader.error}`)
    record.settle(track, answer)
    return answer?.isLast === false && !connection.isEnded
  } catch (caught) {
    record.violation(track, String(caught))
    track.hasLeft = true
    record.settle(track, undefined)
    return false
  }
}

/** Sends the requests one after the other, each when the answer before it is there. */
async function inTurn(session: Session, send: (c: ClientConnection, t: Track) => Promise<boolean>): Promise<void> {
  let connection = await open(session)
  for (const plan of session.plan.requests) {
    const track = session.context.record.begin(plan, session.plan.index)
    track.isSent = await send(connection, track)
    track.note(track.isSent ? 'sent' : 'could not be sent')
    const goesOn = await settle(session, connection, track)
    if (goesOn) continue
    connection.close()
    if (plan !== session.plan.requests.at(-1)) connection = await open(session)
  }
  connection.close()
}

async function pipelining(session: Session): Promise<void> {
  const { context, plan } = session
  const connection = await open(session)
  const tracks = plan.requests.map((request) => context.record.begin(request, plan.index))
  const isSent = await connection.write(plan.requests.map((request) => wholeRequest(request)).join(''))
  let goesOn = true
  for (const track of tracks) {
    track.isSent = isSent
    track.isForgone = !goesOn
    if (goesOn) goesOn = await settle(session, connection, track)
    else context.record.settle(track, undefined)
  }
  connection.close()
}

async function splitWrites(session: Session): Promise<void> {
  const { rng } = session
  await inTurn(session, async (connection, { plan }) => {
    const text = wholeRequest(plan)
    let sent = true
    for (let at = 0; at < text.length && sent; ) {
      const longest = rng() < 0.5 && text.length < 20_000 ? 8 : Math.max(16, text.length >> 2)
      const next = Math.min(text.length, at + 1 + Math.floor(rng() * longest))
      sent = await connection.write(text.slice(at, next))
      at = next
    }
    return sent
  })
}

async function chunkedBody(session: Session): Promise<void> {
  const { rng } = session
  await inTurn(session, (connection, { plan }) => {
    const body = requestBody(plan)
    let text = headOf(plan, body, { chunked: true })
    for (let at = 0; at < body.length; ) {
      const piece = body.slice(at, at + 1 + Math.floor(rng() * 5000))
      text += `${piece.length.toString(16)}\r\n${piece}\r\n`
      at += piece.length
    }
    return connection.write(`${text}0\r\n${rng() < 0.3 ? 'x-trailer: 1\r\n' : ''}\r\n`)
  })
}

async function expectContinue(session: Session): Promise<void> {
  await inTurn(session, async (connection, { plan }) => {
    const body = requestBody(plan)
    const before = connection.reader.interim
    await connection.write(headOf(plan, body, { headers: ['expect: 100-continue'] }))
    while (connection.reader.interim === before && !connection.isEnded) if (!(await connection.more(1000))) break
    return connection.write(body)
  })
}

/** Sends a part of the request and leaves. */
async function leavesBefore(session: Session, part: (text: string, headEnd: number) => number): Promise<void> {
  const { context, plan, rng } = session
  const connection = await open(session)
  const [request] = plan.requests as [RequestPlan]
  const track = context.record.begin(request, plan.index)
  track.hasLeft = true
  const text = wholeRequest(request)
  await connection.write(text.slice(0, part(text, text.indexOf('\r\n\r\n') + 4)))
  await sleep(rng() * 20)
  connection.leave(drawLeave(rng))
  track.note('left')
  await sleep(20)
  connection.close()
  context.record.settle(track, undefined)
}

async function leavesWhileWaiting(session: Session): Promise<void> {
  const { context, plan, rng } = session
  const connection = await open(session)
  const [request] = plan.requests as [RequestPlan]
  const track = context.record.begin(request, plan.index)
  track.isSent = await connection.write(wholeRequest(request))
  await sleep(rng() ** 3 * 500)
  track.hasLeft = true
  connection.leave(drawLeave(rng))
  track.note('left')
  await sleep(20)
  connection.close()
  context.record.settle(track, connection.reader.take())
}

async function leavesInAnswer(session: Session): Promise<void> {
  const { context, plan, rng } = session
  const connection = await open(session)
  const [request] = plan.requests as [RequestPlan]
  const track = context.record.begin(request, plan.index)
  track.isSent = await connection.write(wholeRequest(request))
  const enough = 1 + Math.floor(rng() * 600)
  while (connection.bytes < enough && !connection.isEnded && !connection.reader.hasAnswer) {
    if (!(await connection.more(4000))) break
  }
  track.hasLeft = true
  connection.leave(drawLeave(rng))
  track.note(`left after ${connection.bytes} bytes`)
  await sleep(20)
  connection.close()
  context.record.settle(track, connection.reader.take())
}

async function halfCloses(session: Session): Promise<void> {
  const { context, plan } = session
  const connection = await open(session)
  const [request] = plan.requests as [RequestPlan]
  const track = context.record.begin(request, plan.index)
  track.hasLeft = true
  track.isSent = await connection.write(wholeRequest(request))
  connection.leave('end')
  const answer = await connection.answer(patienceMs).catch(() => {
    context.record.violation(track, 'a half-closed connection stays')
    return undefined
  })
  connection.close()
  context.record.settle(track, answer)
}

async function pausesReading(session: Session): Promise<void> {
  const { rng } = session
  await inTurn(session, async (connection, { plan }) => {
    const isSent = await connection.write(wholeRequest(plan))
    while (connection.bytes === 0 && !connection.isEnded) if (!(await connection.more(4000))) break
    connection.socket.pause()
    await sleep(100 + rng() * 700)
    connection.socket.resume()
    return isSent
  })
}

/** Whether the connection was one too many, which a client that reads nothing does not hear: such requests have no line. */
async function isTurnedAway(connection: ClientConnection, hasMetCrowd: boolean): Promise<boolean> {
  connection.socket.resume()
  const answer = await connection.answer(2000).catch(() => undefined)
  if (answer === undefined) return hasMetCrowd && connection.isEnded
  return answer.headers.get('x-infer-reason') === 'too-many-connections'
}

/** Takes nothing of a long answer: the gateway must free itself of it. */
async function neverReads(session: Session): Promise<void> {
  const { context, plan } = session
  const connection = await open(session)
  const [request] = plan.requests as [RequestPlan]
  const track = context.record.begin(request, plan.index)
  track.hasLeft = true
  connection.socket.pause()
  track.isSent = await connection.write(wholeRequest(request))
  const deadline = performance.now() + patienceMs
  while (track.line === undefined && performance.now() < deadline) await sleep(100)
  if (track.line === undefined && !(await isTurnedAway(connection, context.record.hasMetCrowd(track)))) {
    const what = connection.isEnded ? `was dropped behind ${connection.bytes} bytes` : 'is kept for ever'
    context.record.violation(track, `a client that reads nothing ${what} (sent: ${track.isSent})`)
  }
  connection.close()
  context.record.settle(track, undefined)
}

async function slowHead(session: Session): Promise<void> {
  const { context, plan } = session
  const connection = await open(session)
  const [request] = plan.requests as [RequestPlan]
  const track = context.record.begin(request, plan.index)
  track.mustRefuse = ['head-timeout']
  const text = wholeRequest(request)
  for (let at = 0; !connection.isEnded && at < 60 && !connection.reader.hasBegun; at++) {
    await connection.write(text.slice(at, at + 1))
    await sleep(100)
  }
  await settle(session, connection, track)
  connection.close()
}

async function slowBody(session: Session): Promise<void> {
  const { rng } = session
  await inTurn(session, async (connection, { plan }) => {
    const text = wholeRequest(plan)
    const size = Math.ceil(text.length / 8)
    let sent = true
    for (let at = 0; at < text.length; at += size) {
      sent = await connection.write(text.slice(at, at + size))
      await sleep(rng() * 80)
    }
    return sent
  })
}

async function stuckBody(session: Session): Promise<void> {
  const { context, plan } = session
  const connection = await open(session)
  const [request] = plan.requests as [RequestPlan]
  const track = context.record.begin(request, plan.index)
  track.mustRefuse = ['body-timeout']
  const text = wholeRequest(request)
  await connection.write(text.slice(0, -10))
  await settle(session, connection, track)
  connection.close()
}

async function garbage(session: Session): Promise<void> {
  const { context, plan, rng } = session
  const connection = await open(session)
  const [request] = plan.requests as [RequestPlan]
  const track = context.record.begin(request, plan.index)
  track.mustRefuse = ['malformed-request', 'unsupported-http-version']
  const bytes = Buffer.from(Array.from({ length: 40 + Math.floor(rng() * 200) }, () => Math.floor(rng() * 256)))
  await connection.write(Buffer.concat([bytes, Buffer.from('\r\n\r\n')]))
  await settle(session, connection, track)
  connection.close()
}

async function malformedHead(session: Session): Promise<void> {
  const { context, plan, rng } = session
  const connection = await open(session)
  const [request] = plan.requests as [RequestPlan]
  const track = context.record.begin(request, plan.index)
  const bad = badHeads[Math.floor(rng() * badHeads.length)] as (typeof badHeads)[number]
  track.note(`malformed: ${bad.name}`)
  track.mustRefuse = bad.reasons
  await connection.write(bad.text(pathOf(request), requestBody(request), request.id))
  await settle(session, connection, track)
  connection.close()
}

async function oversizedHead(session: Session): Promise<void> {
  const { context, plan } = session
  const connection = await open(session)
  const [request] = plan.requests as [RequestPlan]
  const track = context.record.begin(request, plan.index)
  track.mustRefuse = ['head-too-large']
  const isLong = request.stream
  const headers = isLong
    ? [`x-long: ${'v'.repeat(context.limits.headBytes)}`]
    : Array.from({ length: 200 }, (_, i) => `x-${i}: v`)
  await connection.write(wholeRequest(request, { headers }))
  await settle(session, connection, track)
  connection.close()
}

async function oversizedBody(session: Session): Promise<void> {
  const { context, plan } = session
  const connection = await open(session)
  const [request] = plan.requests as [RequestPlan]
  const track = context.record.begin(request, plan.index)
  track.mustRefuse = ['body-too-large']
  const body = 'b'.repeat(context.limits.bodyBytes + 1)
  if (request.stream) void connection.write(headOf(request, body, {}) + body)
  else
    void connection.write(
      `${headOf(request, body, { chunked: true })}${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
    )
  await settle(session, connection, track)
  connection.close()
}

async function saysNothing(session: Session): Promise<void> {
  const connection = await open(session)
  await sleep(session.rng() * 300)
  connection.leave(drawLeave(session.rng))
  await sleep(20)
  connection.close()
}

/** Opens more connections than the listener takes and keeps them for a moment. */
async function crowd(session: Session): Promise<void> {
  const { context, rng } = session
  context.record.crowds++
  const connections = await Promise.all(
    Array.from({ length: context.limits.connections }, () => ClientConnection.open(context.port, addressOf(session))),
  )
  await sleep(100 + rng() * 200)
  for (const connection of connections) connection?.leave(drawLeave(rng))
  await sleep(20)
  for (const connection of connections) connection?.close()
  context.record.crowds--
  context.record.lastCrowdAtMs = performance.now()
}

const runs: Readonly<Record<ClientKind, (session: Session) => Promise<void>>> = {
  'keep-alive': (session) => inTurn(session, (connection, { plan }) => connection.write(wholeRequest(plan))),
  pipelining,
  'one-shot': (session) =>
    inTurn(session, (connection, { plan }) => connection.write(wholeRequest(plan, { headers: ['connection: close'] }))),
  'http-1.0': (session) =>
    inTurn(session, (connection, { plan }) => connection.write(wholeRequest(plan, { version: '1.0' }))),
  'split-writes': splitWrites,
  'chunked-body': chunkedBody,
  'expect-continue': expectContinue,
  'leaves-in-head': (session) => leavesBefore(session, (_, headEnd) => Math.floor(session.rng() * (headEnd - 1))),
  'leaves-in-body': (session) =>
    leavesBefore(session, (text, headEnd) => headEnd + Math.floor(session.rng() * (text.length - headEnd - 1))),
  'leaves-while-waiting': leavesWhileWaiting,
  'leaves-in-answer': leavesInAnswer,
  'half-closes': halfCloses,
  'pauses-reading': pausesReading,
  'never-reads': neverReads,
  'slow-head': slowHead,
  'slow-body': slowBody,
  'stuck-body': stuckBody,
  garbage,
  'malformed-head': malformedHead,
  'oversized-head': oversizedHead,
  'oversized-body': oversizedBody,
  'says-nothing': saysNothing,
  crowd,
}

/** Plays one client to its end. Never throws: what goes wrong is in the record. */
export async function runSession(plan: SessionPlan, context: SessionContext): Promise<void> {
  try {
    await runs[plan.kind]({ plan, context, rng: seededRng(plan.seed) })
  } catch (caught) {
    context.record.violation(undefined, `session ${plan.index} (${plan.kind}): ${String(caught)}`)
  }
}
