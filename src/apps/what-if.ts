import { existsSync } from 'node:fs'
import { readStrategies } from '#config/routing-strategy.ts'
import type { ProfilePlan } from '#config/snapshot.ts'
import type { Env } from '#config/substitute-env.ts'
import type { DecisionRecord } from '#contracts/decision-record.ts'
import { loadSnapshot } from '#controller/load-snapshot.ts'
import { planOfStrategies } from '#controller/scheduling.ts'
import { seededRng, systemClock } from '#core/clock.ts'
import { Fault } from '#core/fault.ts'
import { builtInProfiles } from '#plugins/built-in-profiles.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { plugins } from '#plugins/index.ts'
import { Replay } from '#schedule/replay.ts'

/** A decision that another profile makes otherwise. */
export interface OtherPick {
  readonly requestId: string
  readonly attempt: number
  readonly was: string | undefined
  readonly whyWas: string
  readonly wouldBe: string | undefined
  readonly whyWouldBe: string
}

/** What another profile makes of recorded decisions. */
export interface WhatIf {
  readonly profile: string
  /** Decisions made again. */
  readonly decisions: number
  /** Probes of ejected endpoints, which no profile decides. */
  readonly skipped: number
  readonly others: readonly OtherPick[]
  /** Prompt tokens that the endpoints picked had cached, over all decisions. */
  readonly cachedTokens: { readonly were: number; readonly wouldBe: number }
  /**
   * Of those whose own profile is known: how many there are, and how many picks come out as they were when that is replayed. The
   * rest is chance and what plug-ins had learned.
   */
  readonly own: { readonly decisions: number; readonly same: number }
  /** Facts that the profile reads and that were not recorded: they counted as 0. */
  readonly missingFacts: readonly string[]
}

/** Profiles by the model server of a decision. */
export interface OtherProfile {
  readonly title: string
  readonly planOf: (record: Pick<DecisionRecord, 'modelServer'>) => ProfilePlan
}

/** Profiles that are built in, by name. */
const builtIn: Readonly<Record<string, ProfilePlan>> = builtInProfiles

/**
 * The profile that a text means: a configuration (file or directory), one of `inForce`, one that is built in, or strategies of
 * AIBrix. Throws a Fault that says which there are.
 */
export async function otherProfile(
  text: string,
  inForce: Readonly<Record<string, ProfilePlan>>,
  env: Env,
): Promise<OtherProfile> {
  const named = Object.hasOwn(inForce, text) ? inForce[text] : Object.hasOwn(builtIn, text) ? builtIn[text] : undefined
  if (named !== undefined) return { title: `profile '${text}'`, planOf: () => named }
  if (existsSync(text)) return profileOfConfiguration(text, env)
  const list = readStrategies(text)
  if ('strategies' in list) {
    const plan = planOfStrategies(list.strategies, env)
    return { title: `routing-strategy '${text}'`, planOf: () => plan }
  }
  const names = [...new Set([...Object.keys(inForce), ...Object.keys(builtIn)])].join(', ')
  throw new Fault('client', `'${text}' is no file, no profile (there are ${names}) and no strategy of AIBrix`)
}

async function profileOfConfiguration(source: string, env: Env): Promise<OtherProfile> {
  const loaded = await loadSnapshot(source, {
    env,
    plugins,
    defaultProfile,
    builtInProfiles,
    wallMs: systemClock().wallMs,
  })
  if (!loaded.ok) {
    const [first] = loaded.problems
    throw new Fault('client', `'${source}' is not valid: ${first?.message ?? ''}; see infer-gateway check ${source}`)
  }
  const { profiles, modelServers } = loaded.snapshot
  const planOf = ({ modelServer }: Pick<DecisionRecord, 'modelServer'>): ProfilePlan => {
    const name = modelServers.find(({ key }) => key === modelServer)?.profile ?? 'default'
    return profiles[name] ?? defaultProfile
  }
  return { title: source, planOf }
}

/** Makes recorded decisions, newest first, again under another profile, each for itself. */
export function whatIf(
  records: readonly DecisionRecord[],
  { title, planOf }: OtherProfile,
  inForce: Readonly<Record<string, ProfilePlan>>,
): WhatIf {
  const replays = new Map<ProfilePlan, Replay>()
  const decide = (plan: ProfilePlan, record: DecisionRecord): DecisionRecord | undefined => {
    const replay = replays.get(plan) ?? new Replay({ name: title, plan, plugins, rng: seededRng(1) })
    replays.set(plan, replay)
    return replay.decide(record)
  }
  const others: OtherPick[] = []
  const missing = new Set<string>()
  const cached = { were: 0, wouldBe: 0 }
  const own = { decisions: 0, same: 0 }
  let skipped = 0
  for (const record of records.toReversed()) {
    const plan = planOf(record)
    const again = decide(plan, record)
    if (again === undefined) {
      skipped++
      continue
    }
    for (const name of replays.get(plan)?.missingFacts(record) ?? []) missing.add(name)
    cached.were += cachedBy(record)
    cached.wouldBe += cachedBy(again)
    if (again.chosen !== record.chosen) others.push(otherPick(record, again))
    const used = Object.hasOwn(inForce, record.profile) ? inForce[record.profile] : undefined
    if (used === undefined) continue
    own.decisions++
    if ((used === plan ? again : decide(used, record))?.chosen === record.chosen) own.same++
  }
  const decisions = records.length - skipped
  return { profile: title, decisions, skipped, others, cachedTokens: cached, own, missingFacts: [...missing] }
}

function cachedBy({ chosen, candidates }: DecisionRecord): number {
  return candidates.find(({ endpoint }) => endpoint === chosen)?.facts.cachedTokens ?? 0
}

function otherPick(was: DecisionRecord, again: DecisionRecord): OtherPick {
  const { requestId, attempt } = was
  return {
    requestId,
    attempt,
    was: was.chosen,
    whyWas: was.reason,
    wouldBe: again.chosen,
    whyWouldBe: again.reason,
  }
}

const shownOthers = 20

/** The same in words. */
export function renderWhatIf(result: WhatIf): string {
  const { profile, decisions, skipped, others, cachedTokens, own, missingFacts } = result
  const lines = [
    `Under ${profile} ${others.length} of ${decisions} recorded decisions would have gone elsewhere.`,
    `The endpoints picked had ${Math.round(cachedTokens.were)} prompt tokens cached; those of ${profile} had ${Math.round(cachedTokens.wouldBe)}.`,
  ]
  if (own.decisions > 0) {
    lines.push(
      `Replayed under the profile that made them, ${own.same} of ${own.decisions} come out as they were; the rest is chance and what plug-ins had learned.`,
    )
  }
  if (skipped > 0) lines.push(`${skipped} were probes of ejected endpoints, which no profile decides.`)
  if (missingFacts.length > 0) {
    lines.push(
      `Not recorded, because the profile in use did not look at it, and taken as 0: ${missingFacts.join(', ')}.`,
    )
  }
  lines.push('Each decision is judged alone: what would have followed from it is a matter for infer-gateway lab.')
  for (const other of others.slice(-shownOthers).toReversed()) {
    const { requestId, was, whyWas, wouldBe, whyWouldBe } = other
    lines.push(
      '',
      requestId,
      `  was    ${was ?? 'refused'}: ${whyWas}`,
      `  would  ${wouldBe ?? 'be refused'}: ${whyWouldBe}`,
    )
  }
  if (others.length > shownOthers) lines.push('', `and ${others.length - shownOthers} more: --json has all`)
  return `${lines.join('\n')}\n`
}
