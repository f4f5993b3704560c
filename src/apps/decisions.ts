import type { ProfilePlan, Snapshot } from '#config/snapshot.ts'
import type { DecisionReport } from '#observe/decision-pages.ts'
import type { DecisionQuery } from '#observe/decision-ring.ts'
import type { DataThreads } from './data-threads.ts'

/** Recorded decisions of all threads, newest first, with the profiles of the snapshot. */
export async function reportDecisions(
  { profiles }: Pick<Snapshot, 'profiles'>,
  query: DecisionQuery,
  threads: Pick<DataThreads, 'decisions'> | undefined,
): Promise<DecisionReport> {
  const answers = (await threads?.decisions(query)) ?? []
  const all = answers
    .flatMap(({ answer }) => answer?.decisions ?? [])
    .toSorted((a, b) => b.atWallMs - a.atWallMs || b.attempt - a.attempt)
  return {
    decisions: all.slice(0, query.limit),
    isTruncated: all.length > query.limit || answers.some(({ answer }) => answer?.isTruncated === true),
    silentThreads: answers.filter(({ answer }) => answer === undefined).map(({ thread }) => thread),
    profiles: Object.fromEntries(Object.entries(profiles).map(([name, plan]) => [name, withoutSecrets(plan)])),
  }
}

/** A profile without what plug-ins sign with. */
function withoutSecrets({ producers = [], filters, scorers, picker, handler }: ProfilePlan): ProfilePlan {
  const open = <Use extends { readonly parameters: Readonly<Record<string, unknown>> }>(use: Use): Use => {
    const { secret: _secret, ...parameters } = use.parameters
    return { ...use, parameters }
  }
  return {
    producers: producers.map(open),
    filters: filters.map(open),
    scorers: scorers.map(open),
    picker: open(picker),
    ...(handler === undefined ? {} : { handler: open(handler) }),
  }
}
