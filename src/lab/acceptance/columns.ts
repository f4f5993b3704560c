import { topOfLadderWarmUpMs } from '#lab/workload/ladder-column.ts'
import { workloads } from '#lab/workload-table.ts'

/** A workload at a load: one column of the evaluation. */
export interface AcceptanceColumn {
  /** Of the workload that stands in the catalogue for it. */
  readonly workload: string
  readonly load: number
  /** Such as `zipf 45`. */
  readonly title: string
  /** Where the reference has it among its columns (routing-algorithms.md 7.1). */
  readonly isReference: boolean
  /** Whether it counts for regrets; else `why` not. */
  readonly counts: boolean
  readonly why?: string
  /** Arms that run here beside or instead of those that run everywhere. */
  readonly only?: readonly string[]
  /** Other times than the report's, where the workload ends by itself. */
  readonly window?: { readonly warmUpMs: number; readonly measuredMs: number }
}

/** Arms that a test of what pages are worth needs. */
const staleArms: readonly string[] = ['gateway', 'llm-d']

/** What this gateway does not do yet, and what is therefore shown and not counted. */
const later: Readonly<Record<string, string>> = {
  disaggregated: 'the profiles do not place pairs yet: here the rule for the decode is the same for most arms',
  'four-gateways': 'gateways have no channel yet: what each of four does without the others',
}

/** Loads of the reference's columns that are workloads of the laboratory at their own load. */
const referenceNames: readonly string[] = ['ladder', 'zipf', 'hot', 'chat', 'no-reuse', 'fan-out', 'mooncake']

function column(workload: string, load: number, others: Partial<AcceptanceColumn> = {}): AcceptanceColumn {
  return { workload, load, title: `${workload} ${load}`, isReference: false, counts: true, ...others }
}

const onlyForPages = 'only for what old pages cost'

/** Longer than any arm takes for the stages. */
const stagesMs = 3_600_000

/** Every column of the report. */
export const acceptanceColumns: readonly AcceptanceColumn[] = [
  column('ladder-top', 1, {
    title: 'ladder 40-60',
    isReference: true,
    window: { warmUpMs: topOfLadderWarmUpMs, measuredMs: stagesMs },
  }),
  ...workloads.map(({ name, load }) => {
    const why = later[name]
    const whether = why === undefined ? { counts: true } : { counts: false, why }
    return column(name, load, { isReference: referenceNames.includes(name), ...whether })
  }),
  column('zipf', 58, { isReference: true }),
  column('chat', 12, { isReference: true }),
  column('mooncake', 4.5, { isReference: true }),
  column('zipf-16', 112, { isReference: true }),
  column('zipf-8b', 110, { isReference: true }),
  column('chat-8b', 16, { isReference: true }),
  column('mixed-mooncake', 3),
  column('zipf-stale', 58, { counts: false, why: onlyForPages, only: staleArms }),
  column('chat-stale', 9, { counts: false, why: onlyForPages, only: staleArms }),
  column('mooncake-stale', 4.5, { counts: false, why: onlyForPages, only: staleArms }),
]

/** Columns on which the constants are varied: those of the reference's table (routing-algorithms.md 7.4), and what was added to it. */
export const constantsColumns: readonly string[] = [
  'ladder 40-60',
  'ladder 18',
  'zipf 58',
  'hot 60',
  'chat 9',
  'no-reuse 88',
  'fan-out 5',
  'mooncake 4.5',
]

/** Columns with old pages, and the same with pages of the usual age. */
export const staleColumns: readonly (readonly [stale: string, fresh: string])[] = [
  ['zipf-stale 58', 'zipf 58'],
  ['chat-stale 9', 'chat 9'],
  ['mooncake-stale 4.5', 'mooncake 4.5'],
]

/** What the reference asks for and is not here, with the reason. */
export const leftOut: readonly string[] = [
  "Mooncake's synthetic trace (times 3.5): it does not come with the project; `lab run --trace` replays it.",
  'Four gateways with a channel between them, and the ladder and Mooncake over four gateways: a channel does not exist yet. ' +
    '`four-gateways` is shown, and does not count for regrets.',
  'Pairs of prefill and decode placed by the profile: not built yet. `disaggregated` is shown, and does not count.',
  'Clairvoyant lookahead (routing-algorithms.md 6, R2): not built. Strict bounds (R3) are in `lab run --out`.',
  'Zipf at 0.75, 0.95 and 1.05 of capacity: capacity depends on the arm; 45 and 58 requests/s stand for them, and ' +
    '`lab run --loads` and `lab capacity` do the rest.',
  'Engines that are not simulated: virtual time and real processes are compared in agreement.md.',
]
