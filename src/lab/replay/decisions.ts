import type { ProfilePlan } from '#config/snapshot.ts'
import type { DecisionHead, PromptMarks } from '#contracts/decision-record.ts'

/** What of a recorded decision a replay needs. */
export interface RecordedRequest {
  readonly requestId: string
  readonly atWallMs: number
  readonly model: string
  readonly modelServer: string
  readonly hasAdapter: boolean
  readonly profile: string
  readonly endpoints: number
  readonly promptTokens: number
  readonly maxTokens: number | undefined
  readonly marks: PromptMarks | undefined
}

/** Decisions of a running gateway, as they were read from files. */
export interface RecordedDecisions {
  /** First tries, each once, in order of time. */
  readonly requests: readonly RecordedRequest[]
  /** Profiles in force, by name, where the files say. */
  readonly profiles: Readonly<Record<string, ProfilePlan>>
}

/** A file of decisions that cannot be read: says file and what is wrong. */
export class DecisionsError extends Error {
  constructor(file: string, problem: string) {
    super(`${file}: ${problem}`)
    this.name = 'DecisionsError'
  }
}

interface Answer {
  readonly decisions?: unknown
  readonly profiles?: Readonly<Record<string, ProfilePlan>>
}

/** Most tokens of a prompt that is replayed: an engine of the laboratory holds no more. */
const mostTokens = 300_000

/** As the scheduler estimates. */
const bytesPerToken = 4

/**
 * Reads what the admin server answers at /debug/decisions, or what `infer-gateway explain --json` prints; decisions that are in
 * several files count once. Throws a DecisionsError.
 */
export function readDecisions(files: readonly { readonly name: string; readonly text: string }[]): RecordedDecisions {
  const found = new Map<string, RecordedRequest>()
  let profiles: Readonly<Record<string, ProfilePlan>> = {}
  for (const { name, text } of files) {
    const { decisions, profiles: inForce } = answerOf(name, text)
    profiles = { ...profiles, ...inForce }
    for (const [i, decision] of decisions.entries()) {
      const request = requestOf(decision)
      if (typeof request === 'string') throw new DecisionsError(name, `decision ${i + 1}: ${request}`)
      if (request !== undefined) found.set(request.requestId, request)
    }
  }
  return { requests: [...found.values()].toSorted((a, b) => a.atWallMs - b.atWallMs), profiles }
}

function answerOf(
  name: string,
  text: string,
): { readonly decisions: readonly unknown[]; readonly profiles: Readonly<Record<string, ProfilePlan>> } {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    throw new DecisionsError(name, 'this is not JSON')
  }
  if (Array.isArray(parsed)) return { decisions: parsed, profiles: {} }
  const { decisions, profiles = {} } = (parsed ?? {}) as Answer
  if (!Array.isArray(decisions)) throw new DecisionsError(name, "there are no 'decisions'")
  return { decisions, profiles }
}

type Known = Pick<DecisionHead, 'requestId' | 'atWallMs' | 'request'> & Partial<DecisionHead>

/** Undefined for a try after the first, which would come again by itself; a text says what is wrong. */
function requestOf(decision: unknown): RecordedRequest | string | undefined {
  if (!isDecision(decision)) return 'it has no requestId, atWallMs or request'
  if (decision.attempt !== 1) return undefined
  const { promptTokens, promptMarks: marks } = decision.request
  if (!(Number.isInteger(promptTokens) && promptTokens >= 0 && promptTokens <= mostTokens)) {
    return `promptTokens is not a whole number up to ${mostTokens}`
  }
  if (marks !== undefined && !areMarks(marks)) return 'promptMarks are not those of a prompt'
  return recordedRequest(decision)
}

function isDecision(decision: unknown): decision is Known {
  const { requestId, atWallMs, request } = (decision ?? {}) as Partial<DecisionHead>
  return typeof requestId === 'string' && typeof atWallMs === 'number' && typeof request === 'object'
}

function recordedRequest(decision: Known): RecordedRequest {
  const { requestId, atWallMs, model = '', modelServer = '', profile = '', endpoints = 1 } = decision
  const { promptTokens, promptBytes, maxTokens, hasAdapter, promptMarks: marks } = decision.request
  // Of a profile that does not look at the prompt the length is not known.
  const estimate = promptTokens === 0 ? Math.round(promptBytes / bytesPerToken) : promptTokens
  const known = { promptTokens: Math.max(1, estimate), maxTokens, hasAdapter, marks }
  return { requestId, atWallMs, model, modelServer, profile, endpoints, ...known }
}

function areMarks({ blockTokens, blocks, hashes }: PromptMarks): boolean {
  const isWhole = (value: unknown): boolean => typeof value === 'number' && Number.isInteger(value) && value > 0
  return isWhole(blockTokens) && isWhole(blocks) && blocks * blockTokens <= mostTokens && Array.isArray(hashes)
}
