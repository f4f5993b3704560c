import { type Rng, seededRng } from '#core/clock.ts'
import { type ClientKind, clientKinds } from './client-kinds.ts'
import { type FaultRow, faultRows } from './faults.ts'
import { chaosModels, type RequestPlan } from './request-plan.ts'

/** What one client does on one connection. */
export interface SessionPlan {
  readonly index: number
  readonly kind: ClientKind
  readonly requests: readonly RequestPlan[]
  readonly seed: number
}

/** Draws from `rows` by weight. */
export function drawWeighted<Row extends { readonly weight: number }>(rows: readonly Row[], rng: Rng): Row {
  let at = rng() * rows.reduce((sum, { weight }) => sum + weight, 0)
  for (const row of rows) {
    at -= row.weight
    if (at < 0) return row
  }
  return rows[rows.length - 1] as Row
}

const between = (low: number, high: number, rng: Rng): number => low + Math.floor(rng() * (high - low + 1))

/** Session `index` of the run with that seed: the same every time, whatever the others do. */
export function sessionOf(seed: number, index: number): SessionPlan {
  const rng = seededRng(Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b))
  rng()
  const client = drawWeighted(clientKinds, rng)
  const count = between(1, client.requests, rng)
  const requests = Array.from({ length: count }, (_, i) => requestOf(`c${seed}-${index}-${i}`, client, rng))
  return { index, kind: client.kind, requests, seed: Math.floor(rng() * 2 ** 31) }
}

function requestOf(id: string, client: (typeof clientKinds)[number], rng: Rng): RequestPlan {
  const modelAt = rng()
  const model = modelAt < 0.55 ? 'steady' : modelAt < 0.85 ? 'steady by another name' : 'shaky'
  const stream = rng() < 0.6
  const bytesDrawn = rng()
  const answerBytes = client.answerBytes ?? (bytesDrawn < 0.96 ? between(0, 2000, rng) : between(20_000, 300_000, rng))
  const pieces = answerBytes > 20_000 ? Math.ceil(answerBytes / 16_000) : between(1, 8, rng)
  const isFaulty = rng() < (client.isPatient === true ? 0 : 0.55)
  const isPossible = (row: FaultRow): boolean =>
    (row.only === undefined || row.only === (stream ? 'stream' : 'unary')) &&
    (row.shaky !== true || chaosModels[model].isShaky)
  const possible = faultRows.filter(isPossible)
  const faults: string[] = []
  const deliveries = isFaulty ? 3 : 0
  for (let k = 0; k < deliveries; k++) faults.push(k > 0 && rng() < 0.6 ? 'ok' : drawWeighted(possible, rng).name)
  const framingDrawn = rng()
  return {
    id,
    model,
    api: rng() < 0.7 ? 'chat' : 'messages',
    stream,
    wantsUsage: rng() < 0.2,
    promptBytes: client.promptBytes ?? (rng() < 0.95 ? between(0, 3000, rng) : between(20_000, 400_000, rng)),
    answerBytes,
    pieces,
    framing: stream ? (framingDrawn < 0.9 ? 'chunked' : 'close') : framingDrawn < 0.7 ? 'length' : 'chunked',
    faults,
    seed: Math.floor(rng() * 2 ** 31),
  }
}
