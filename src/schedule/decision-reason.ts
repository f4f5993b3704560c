import type { CandidateRecord, DecisionHead } from '#contracts/decision-record.ts'

/** What a reason is made of. */
export interface ReasonParts extends Omit<DecisionHead, 'reason'> {
  readonly chosenCandidate: CandidateRecord | undefined
  readonly runnerUpCandidate: CandidateRecord | undefined
  /** How many were compared. */
  readonly compared: number
}

/** Scores closer than this read the same. */
const sameScore = 0.005

/** Why the endpoint was picked, or none was, in one line of words. `nameOf` says how endpoints are called. */
export function reasonOf(parts: ReasonParts, nameOf: (endpoint: string) => string): string {
  const { chosenCandidate: chosen, runnerUpCandidate: other, compared, endpoints, isProbe } = parts
  if (chosen === undefined) return `refused: ${whyNobody(parts)}`
  if (isProbe) return 'the probe of an endpoint that was ejected'
  if (parts.isFallback) return 'the next best of the decision for the try before, which is still what it was'
  if (other === undefined) {
    if (endpoints === 1) return 'the model server has no other endpoint'
    return compared > 1 ? 'nothing was compared' : `the only one of ${endpoints} left: ${whoLeft(parts)}`
  }
  const facts = factText(chosen, other, parts.request.promptTokens)
  const versus = `${scoreText(parts, chosen, other)} against ${nameOf(other.endpoint)}`
  return facts === '' ? versus : `${versus}; ${facts}`
}

function whyNobody(parts: ReasonParts): string {
  if (parts.endpoints === 0) return 'the model server has no endpoints'
  if (parts.tried.length === parts.endpoints) return 'it has failed on every endpoint'
  return whoLeft(parts)
}

function whoLeft({ filters, tried }: ReasonParts): string {
  const parts = filters.filter(({ removed }) => removed.length > 0).map((one) => `${one.type} ${one.removed.length}`)
  const removed = parts.length === 0 ? '' : `removed by ${parts.join(', ')}`
  const failed = tried.length === 0 ? '' : `${tried.length} had failed it`
  return [removed, failed].filter((text) => text !== '').join(', ') || 'nobody is left'
}

/** The scorer that made the difference; which picker it was when none did. */
function scoreText({ scorers, picker }: ReasonParts, chosen: CandidateRecord, other: CandidateRecord): string {
  const lead = (chosen.total ?? 0) - (other.total ?? 0)
  const totals = `${scoreOf(chosen.total)} against ${scoreOf(other.total)}`
  if (scorers.length === 0) return `picked by ${picker ?? 'nobody'}`
  if (Math.abs(lead) < sameScore) return `as good as others (${scoreOf(chosen.total)}), picked by ${picker ?? ''}`
  if (lead < 0) return `${totals}, near enough to the best for ${picker ?? ''}`
  let best = 0
  for (let i = 1; i < scorers.length; i++) if (gain(chosen, other, i) > gain(chosen, other, best)) best = i
  const raw = `${scorers[best]?.type ?? ''} ${scoreOf(chosen.scores[best])} to ${scoreOf(other.scores[best])}`
  return scorers.length === 1 ? raw : `${raw} (sum ${scoreOf(chosen.total)} to ${scoreOf(other.total)})`
}

function gain(chosen: CandidateRecord, other: CandidateRecord, scorer: number): number {
  return (chosen.weighted[scorer] ?? 0) - (other.weighted[scorer] ?? 0)
}

function scoreOf(score: number | null | undefined): string {
  return score === null || score === undefined ? 'no opinion' : score.toFixed(2)
}

/** Those of the usual signals in which the two differ. */
function factText(chosen: CandidateRecord, other: CandidateRecord, promptTokens: number): string {
  const cached = [Math.round(chosen.facts.cachedTokens), Math.round(other.facts.cachedTokens)] as const
  const texts: string[] = []
  if (cached[0] !== cached[1]) texts.push(`${cached[0]} of ${promptTokens} prompt tokens cached to ${cached[1]}`)
  for (const [name, words] of differences) {
    const [own, its] = [chosen.loads[name], other.loads[name]]
    if (own !== its && own !== null && its !== null) texts.push(`${own} ${words} to ${its}`)
  }
  if (chosen.hasAdapter !== other.hasAdapter) texts.push(`adapter ${chosen.hasAdapter ? '' : 'not '}loaded`)
  return texts.slice(0, maxFacts).join(', ')
}

const maxFacts = 4

const differences = [
  ['inFlight', 'requests in flight'],
  ['uncachedTokens', 'tokens ahead'],
  ['waiting', 'waiting in the engine'],
] as const
