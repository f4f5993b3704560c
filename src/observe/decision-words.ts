import type { CandidateRecord, DecisionHead, DecisionRecord } from '#contracts/decision-record.ts'

/** What every number of an explanation says; the same as in JSON. */
type Column = readonly [title: string, text: (candidate: CandidateRecord) => string]

const unknown = '-'

/** A decision in words, with a table of the candidates: plain text, lines end with a newline. */
export function renderDecision(record: DecisionRecord): string {
  const { requestId, attempt, thread, request, reason, chosen } = record
  const lines = [
    `Request ${requestId}${attempt > 1 ? `, try ${attempt}` : ''} at ${timeText(record.atWallMs)}, thread ${thread}`,
    `  Model '${record.model}' on model server ${record.modelServer} (${count(record.endpoints, 'endpoint')}), profile '${record.profile}'.`,
    `  ${requestText(request)}`,
    '',
    chosen === undefined ? 'No endpoint was picked.' : `${chosen} was picked${secondText(record)}.`,
    `  Why: ${reason}.`,
    ...stageLines(record),
    '',
    ...tableOf(columnsOf(record), record),
    '',
  ]
  return lines.join('\n')
}

/** Several decisions in a table, one line each. */
export function renderDecisions(heads: readonly DecisionHead[]): string {
  if (heads.length === 0) return 'No decision is recorded that fits.\n'
  const rows = heads.map((head) => [
    timeText(head.atWallMs),
    head.attempt > 1 ? `${head.requestId} (try ${head.attempt})` : head.requestId,
    head.modelServer,
    head.profile,
    head.chosen ?? 'none',
    head.reason,
  ])
  return `${aligned([['time', 'request', 'model server', 'profile', 'pick', 'why'], ...rows]).join('\n')}\n`
}

/** Who came behind the one picked. */
function secondText({ fallbacks: [second, ...others] }: DecisionRecord): string {
  if (second === undefined) return ''
  return `, ${second} came second${others.length === 0 ? '' : `, then ${others.join(', ')}`}`
}

function requestText(request: DecisionRecord['request']): string {
  const { promptTokens, promptBytes, maxTokens, stream, hasSession, hasAdapter } = request
  const size =
    promptTokens > 0
      ? `about ${count(promptTokens, 'token')} (${count(promptBytes, 'byte')})`
      : count(promptBytes, 'byte')
  return [
    `Prompt of ${size}`,
    maxTokens === undefined ? 'no limit of new tokens' : `at most ${count(maxTokens, 'new token')}`,
    stream ? 'streamed' : 'not streamed',
    ...(hasSession ? ['part of a session'] : []),
    ...(hasAdapter ? ['for an adapter'] : []),
  ]
    .join(', ')
    .concat('.')
}

function stageLines({ tried, filters, candidates, picker, scorers }: DecisionRecord): string[] {
  const lines = tried.length === 0 ? [] : [`  Left out, because they had failed this request: ${tried.join(', ')}.`]
  for (const { type, removed } of filters) {
    if (removed.length === 0) continue
    const shown = removed.slice(0, maxNames).map((id) => {
      const why = candidates.find(({ endpoint }) => endpoint === id)?.leftOut ?? 'filtered'
      return why === 'filtered' ? id : `${id} (${why})`
    })
    const more = removed.length > maxNames ? ` and ${removed.length - maxNames} more` : ''
    lines.push(`  Filter ${type} removed ${shown.join(', ')}${more}.`)
  }
  if (picker !== undefined) {
    const weights = scorers.map(({ type, weight }) => `${type} (weight ${number(weight)})`)
    lines.push(`  Scored by ${weights.length === 0 ? 'nobody' : weights.join(', ')}; picked by ${picker}.`)
  }
  return lines
}

const maxNames = 20

function columnsOf({ scorers, request, chosen, fallbacks }: DecisionRecord): Column[] {
  const loads =
    (name: keyof CandidateRecord['loads']) =>
    (one: CandidateRecord): string =>
      number(one.loads[name])
  const all: Column[] = [
    ['', ({ endpoint }) => (endpoint === chosen ? '>' : placeOf(endpoint, fallbacks))],
    ['endpoint', ({ endpoint }) => endpoint],
    ['total', ({ total, removedBy }) => (removedBy === undefined ? number(total) : `out: ${removedBy}`)],
    ...scorers.map(
      ({ type }, s): Column => [
        type,
        ({ scores, weighted }) => (s < scores.length ? `${number(scores[s])} (+${number(weighted[s])})` : unknown),
      ],
    ),
    ['cached', ({ facts }) => (request.factsKnown.includes('cachedTokens') ? number(facts.cachedTokens) : unknown)],
    ...(request.totalBlocks > 0 ? [['matched', ({ facts }) => number(facts.matchedBlocks)] satisfies Column] : []),
    ['in flight', loads('inFlight')],
    ['prefilling', loads('prefilling')],
    ['tokens ahead', loads('uncachedTokens')],
    ['context', loads('contextTokens')],
    ['running', loads('running')],
    ['waiting', loads('waiting')],
    ['KV use', ({ loads: { kvUse } }) => (kvUse === null ? unknown : `${Math.round(kvUse * 100)} %`)],
    ['reported', ({ reportAgeMs }) => ageText(reportAgeMs)],
    ['ms to first', loads('ttftMs')],
    ['ms per token', loads('tpotMs')],
    ['observed', ({ observedAgeMs }) => ageText(observedAgeMs)],
    ...(request.hasAdapter ? [['adapter', ({ hasAdapter }) => (hasAdapter ? 'loaded' : 'no')] satisfies Column] : []),
  ]
  return all
}

/** `2` for the one that came second, and so on. */
function placeOf(endpoint: string, fallbacks: readonly string[]): string {
  const at = fallbacks.indexOf(endpoint)
  return at < 0 ? ' ' : String(at + 2)
}

/** The candidates: the one picked, then by total, then those removed; columns in which nothing is known are left out. */
function tableOf(columns: readonly Column[], { candidates, chosen }: DecisionRecord): string[] {
  const rank = ({ endpoint, total }: CandidateRecord): number =>
    endpoint === chosen ? Number.POSITIVE_INFINITY : (total ?? Number.NEGATIVE_INFINITY)
  const order = (a: CandidateRecord, b: CandidateRecord): number => (rank(a) === rank(b) ? 0 : rank(b) - rank(a))
  const shown = candidates.toSorted(order).slice(0, maxRows)
  const used = columns.filter(([title, text]) => title === '' || shown.some((one) => text(one) !== unknown))
  const rows = [used.map(([title]) => title), ...shown.map((one) => used.map(([, text]) => text(one)))]
  const more = candidates.length - shown.length
  return [...aligned(rows), ...(more > 0 ? [`and ${more} more`] : [])]
}

const maxRows = 50

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)))
  return rows.map((row) =>
    row
      .map((text, at) => text.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

function count(value: number, unit: string): string {
  return `${value.toLocaleString('en')} ${unit}${value === 1 ? '' : 's'}`
}

function number(value: number | null | undefined): string {
  if (value === null || value === undefined) return unknown
  if (Number.isInteger(value)) return String(value)
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(2)
}

function ageText(ageMs: number | null): string {
  if (ageMs === null) return unknown
  return ageMs < 10_000 ? `${(ageMs / 1000).toFixed(1)} s ago` : `${Math.round(ageMs / 1000)} s ago`
}

function timeText(wallMs: number): string {
  return new Date(wallMs).toISOString()
}
