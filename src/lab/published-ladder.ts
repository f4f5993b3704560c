import type { StageResult } from './ladder.ts'

/** What others measured on the same ladder (model-servers.md 6.5, from llm-d's guides): 8 x Qwen3-32B on 2 x H100. */
export interface PublishedStage {
  readonly ratePerSecond: number
  readonly outputTokensPerSecond: number
  readonly ttftP50Ms?: number
  readonly ttftP90Ms?: number
  readonly perTokenP50Ms?: number
}

function stages(
  list: readonly (readonly [rate: number, output: number])[],
  loaded: readonly Loaded[],
): PublishedStage[] {
  return list.map(([ratePerSecond, outputTokensPerSecond]) => {
    const found = loaded.find(({ rate }) => rate === ratePerSecond)
    if (found === undefined) return { ratePerSecond, outputTokensPerSecond }
    const { rate: _, ...times } = found
    return { ratePerSecond, outputTokensPerSecond, ...times }
  })
}

interface Loaded {
  readonly rate: number
  readonly ttftP50Ms: number
  readonly ttftP90Ms: number
  readonly perTokenP50Ms?: number
}

/** Kubernetes' own balancing. */
export const publishedBlind: readonly PublishedStage[] = stages(
  [
    [3, 1_889],
    [10, 4_944],
    [15, 6_066],
    [25, 6_350],
    [30, 6_251],
    [40, 6_228],
    [49, 6_956],
    [60, 6_764],
  ],
  [
    { rate: 40, ttftP50Ms: 20_000, ttftP90Ms: 37_900 },
    { rate: 49, ttftP50Ms: 66_900, ttftP90Ms: 139_900 },
    { rate: 60, ttftP50Ms: 88_100, ttftP90Ms: 154_100, perTokenP50Ms: 135.5 },
  ],
)

/** llm-d with prefix affinity. */
export const publishedAffinity: readonly PublishedStage[] = stages(
  [
    [3, 1_511],
    [10, 4_597],
    [15, 8_995],
    [25, 10_452],
    [30, 10_509],
    [40, 14_134],
    [49, 14_941],
    [60, 13_528],
  ],
  [
    { rate: 40, ttftP50Ms: 100, ttftP90Ms: 300 },
    { rate: 49, ttftP50Ms: 900, ttftP90Ms: 2_100 },
    { rate: 60, ttftP50Ms: 200, ttftP90Ms: 900, perTokenP50Ms: 43.9 },
  ],
)

type Rated = Pick<StageResult, 'ratePerSecond' | 'outputTokensPerSecond'>

/** The stages on which a saturated fleet's plateau is read. */
export const plateauFrom = 40

/** Least, mean and greatest output rate of the stages from {@link plateauFrom} on. */
export function plateauOf(list: readonly Rated[]): {
  readonly least: number
  readonly mean: number
  readonly most: number
} {
  const rates = list
    .filter(({ ratePerSecond }) => ratePerSecond >= plateauFrom)
    .map((each) => each.outputTokensPerSecond)
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length
  return { least: Math.min(...rates), mean, most: Math.max(...rates) }
}

/**
 * The load at which output reaches 90 % of the plateau, between the first stage that gives that much and the one before it in
 * proportion. The stages lie 5 and 10 requests per second apart: which of them is the first hangs on a percent.
 */
export function kneeOf(list: readonly Rated[]): number {
  const wanted = 0.9 * plateauOf(list).mean
  const at = list.findIndex(({ outputTokensPerSecond }) => outputTokensPerSecond >= wanted)
  const [before, after] = [list[at - 1], list[at]]
  if (after === undefined) return Number.NaN
  if (before === undefined) return after.ratePerSecond
  const part = (wanted - before.outputTokensPerSecond) / (after.outputTokensPerSecond - before.outputTokensPerSecond)
  return before.ratePerSecond + part * (after.ratePerSecond - before.ratePerSecond)
}

/** Output at the published knee of blind balancing (15 requests per second) as a part of the plateau. */
export function earlyShareOf(list: readonly Rated[]): number {
  const early = list.find(({ ratePerSecond }) => ratePerSecond === 15)
  return (early?.outputTokensPerSecond ?? Number.NaN) / plateauOf(list).mean
}
