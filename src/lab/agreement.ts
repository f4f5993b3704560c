import type { Placed } from './arm.ts'
import { percentile } from './percentile.ts'
import { geometricMean } from './ratio.ts'
import { type Spread, spreadOf } from './run-metrics.ts'

/** A request that ended well, behind a gateway or in virtual time. Times are the fleet's, in milliseconds since the start. */
export interface Served {
  /** What it is called in every run: the seed of its answer. */
  readonly name: number
  /** Index of its endpoint. */
  readonly endpoint: number
  readonly sentMs: number
  readonly firstTokenMs: number
  readonly lastTokenMs: number
  readonly promptTokens: number
  readonly cachedTokens: number
  readonly outputTokens: number
}

/** What the requests of one run came to. */
export interface Side {
  readonly requests: number
  readonly ttftMs: Spread
  readonly tpotMs: Spread
  readonly e2eMs: Spread
  readonly outputTokensPerSecond: number
  readonly hitRatio: number
  readonly requestsMaxOverMean: number
  /** Requests of each endpoint. */
  readonly perEndpoint: readonly number[]
  /** Times to first token below which 1, 2 ... 99 % of them are. */
  readonly ttftCurveMs: readonly number[]
}

/** Of which run a side is made. */
export interface SideFrame {
  readonly engines: number
  readonly warmUpMs: number
}

/** Sums up a run, the same way for both kinds. */
export function sideOf(served: readonly Served[], { engines, warmUpMs }: SideFrame): Side {
  const sum = (of: (each: Served) => number): number => served.reduce((total, each) => total + of(each), 0)
  const perEndpoint = Array.from({ length: engines }, () => 0)
  for (const { endpoint } of served) perEndpoint[endpoint] = (perEndpoint[endpoint] ?? 0) + 1
  const ttft = served.map(({ sentMs, firstTokenMs }) => firstTokenMs - sentMs)
  const tpot = served
    .filter(({ outputTokens }) => outputTokens > 1)
    .map(({ firstTokenMs, lastTokenMs, outputTokens }) => (lastTokenMs - firstTokenMs) / (outputTokens - 1))
  const endMs = served.reduce((latest, { lastTokenMs }) => Math.max(latest, lastTokenMs), warmUpMs)
  const sorted = Float64Array.from(ttft)
  return {
    requests: served.length,
    ttftMs: spreadOf(ttft),
    tpotMs: spreadOf(tpot),
    e2eMs: spreadOf(served.map(({ sentMs, lastTokenMs }) => lastTokenMs - sentMs)),
    outputTokensPerSecond: (sum(({ outputTokens }) => outputTokens) * 1e3) / (endMs - warmUpMs),
    hitRatio: sum(({ cachedTokens }) => cachedTokens) / sum(({ promptTokens }) => promptTokens),
    requestsMaxOverMean: (Math.max(...perEndpoint) * engines) / served.length,
    perEndpoint,
    ttftCurveMs: Array.from({ length: 99 }, (_, i) => percentile(sorted, (i + 1) / 100)),
  }
}

/** What was served in virtual time. */
export function servedFrom({ arrival, endpoint, call }: Placed): Served {
  return {
    name: arrival.answer?.seed ?? -1,
    endpoint,
    sentMs: arrival.atMs,
    firstTokenMs: call.firstTokenMs,
    lastTokenMs: call.lastTokenMs,
    promptTokens: arrival.request.promptTokens,
    cachedTokens: call.cachedTokens,
    outputTokens: call.producedTokens,
  }
}

/** One list of requests, served in all ways. */
export interface AgreementRun {
  readonly seed: number
  /** By the real gateway over HTTP. */
  readonly http: readonly Served[]
  /** By the engines in virtual time, on the endpoints and at the times of `http`. */
  readonly asPlaced: readonly Served[]
  /** By the gateway's scheduler in virtual time. */
  readonly virtual: readonly Served[]
  /** In virtual time again, each time with arrivals that are a little later: what chance does. */
  readonly again: readonly (readonly Served[])[]
}

/** One figure both ways: means over the seeds. */
export interface AgreementRow {
  readonly figure: string
  readonly unit: 'ms' | 'tok/s' | 'part' | ''
  readonly http: number
  readonly virtual: number
  /** HTTP over virtual, geometric mean over the seeds. */
  readonly ratio: number
  /** HTTP over virtual time on the endpoints and at the times of HTTP: what placement has no part in. */
  readonly asPlaced: number
  /** Least and greatest of the same ratio of the runs with later arrivals. */
  readonly chance: readonly [number, number]
}

/** How far HTTP and virtual time agree on one point. */
export interface Agreement {
  readonly rows: readonly AgreementRow[]
  /** Greatest distance of a ratio from 1: of means and medians of times and of output, and of 90th and 99th percentiles. */
  readonly within: number
  readonly tailsWithin: number
  /** Distance of the hit ratios. */
  readonly hitDistance: number
  /** Part of the requests that would have to go elsewhere for the same loads of the endpoints, sorted by load. */
  readonly moved: number
  /** Part of the requests that went to the same endpoint, and the same of the runs with later arrivals. */
  readonly sameEndpoint: number
  readonly sameEndpointAgain: number
  /** Times to first token below which 1, 2 ... 99 % of them are, of the first seed. */
  readonly ttftCurvesMs: { readonly http: readonly number[]; readonly virtual: readonly number[] }
}

interface Quantity {
  readonly figure: string
  readonly unit: AgreementRow['unit']
  readonly of: (side: Side) => number
  /** Whether it is in `within` or in `tailsWithin`. */
  readonly counts?: 'centre' | 'tail'
}

const statistics = [
  { key: 'mean', counts: 'centre' },
  { key: 'p50', counts: 'centre' },
  { key: 'p90', counts: 'tail' },
  { key: 'p99', counts: 'tail' },
] as const

function timesOf(name: string, of: (side: Side) => Spread): readonly Quantity[] {
  return statistics.map(({ key, counts }) => ({
    figure: `${name} ${key}`,
    unit: 'ms',
    of: (side) => of(side)[key],
    counts,
  }))
}

const quantities: readonly Quantity[] = [
  ...timesOf('TTFT', ({ ttftMs }) => ttftMs),
  ...timesOf('e2e', ({ e2eMs }) => e2eMs),
  { figure: 'TPOT mean', unit: 'ms', of: ({ tpotMs }) => tpotMs.mean, counts: 'centre' },
  { figure: 'output', unit: 'tok/s', of: (side) => side.outputTokensPerSecond, counts: 'centre' },
  { figure: 'hit', unit: 'part', of: ({ hitRatio }) => hitRatio },
  { figure: 'max/mean', unit: '', of: (side) => side.requestsMaxOverMean },
  { figure: 'requests', unit: '', of: ({ requests }) => requests },
]

/** Compares the ways in which the same requests were served. Takes one run for each seed, at least one. */
export function agreementOf(runs: readonly AgreementRun[], frame: SideFrame): Agreement {
  const sides = runs.map(({ http, asPlaced, virtual, again }) => ({
    http: sideOf(http, frame),
    asPlaced: sideOf(asPlaced, frame),
    virtual: sideOf(virtual, frame),
    again: again.map((served) => sideOf(served, frame)),
  }))
  const repeats = Math.min(...sides.map(({ again }) => again.length))
  const measured = quantities.map((quantity) => {
    const { figure, unit, of, counts } = quantity
    const ratioOf = (pick: (each: (typeof sides)[number]) => Side | undefined): number =>
      geometricMean(sides.map((each) => quotient(pick(each), each.virtual, of)))
    const chances = Array.from({ length: repeats }, (_, i) => ratioOf(({ again }) => again[i]))
    const row: AgreementRow = {
      figure,
      unit,
      http: meanOf(sides.map(({ http }) => of(http))),
      virtual: meanOf(sides.map(({ virtual }) => of(virtual))),
      ratio: ratioOf(({ http }) => http),
      asPlaced: geometricMean(sides.map(({ http, asPlaced }) => quotient(http, asPlaced, of))),
      chance: [Math.min(...chances), Math.max(...chances)],
    }
    return { row, counts }
  })
  const [first] = sides
  const farthest = (kind: Quantity['counts']): number =>
    Math.max(...measured.filter(({ counts }) => counts === kind).map(({ row }) => Math.abs(row.ratio - 1)))
  return {
    rows: measured.map(({ row }) => row),
    within: farthest('centre'),
    tailsWithin: farthest('tail'),
    hitDistance: meanOf(sides.map(({ http, virtual }) => Math.abs(http.hitRatio - virtual.hitRatio))),
    moved: meanOf(sides.map(({ http, virtual }) => movedBetween(http, virtual))),
    sameEndpoint: meanOf(runs.map(({ http, virtual }) => sameBetween(http, virtual))),
    sameEndpointAgain: meanOf(runs.flatMap(({ virtual, again }) => again.map((each) => sameBetween(each, virtual)))),
    ttftCurvesMs: { http: first?.http.ttftCurveMs ?? [], virtual: first?.virtual.ttftCurveMs ?? [] },
  }
}

/** Both 0, as hits where nothing is shared, is no difference. */
function quotient(side: Side | undefined, base: Side, of: (side: Side) => number): number {
  const [above, below] = [side === undefined ? Number.NaN : of(side), of(base)]
  return above === below ? 1 : above / below
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function movedBetween(one: Side, other: Side): number {
  const shares = ({ perEndpoint, requests }: Side): readonly number[] =>
    perEndpoint.map((count) => count / requests).toSorted((a, b) => b - a)
  const others = shares(other)
  return shares(one).reduce((sum, share, i) => sum + Math.abs(share - (others[i] ?? 0)), 0) / 2
}

function sameBetween(one: readonly Served[], other: readonly Served[]): number {
  const places = new Map(other.map(({ name, endpoint }) => [name, endpoint]))
  const common = one.filter(({ name }) => places.has(name))
  return common.filter(({ name, endpoint }) => places.get(name) === endpoint).length / common.length
}
