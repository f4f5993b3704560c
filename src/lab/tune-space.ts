import type { PluginPlan, ProfilePlan } from '#config/snapshot.ts'
import type { PluginDefinition } from '#contracts/plugin.ts'
import type { Rng } from '#core/clock.ts'
import { numericParameters } from '#plugins/numeric-parameters.ts'

/** One number of a profile that a search may change. */
export interface Setting {
  /** Such as `weight of kv-cache` or `slack of least-request`. */
  readonly label: string
  /** In today's profile; a scorer that it does not have has the weight 0. */
  readonly value: number
  readonly least: number
  readonly most: number
  readonly isWhole: boolean
  readonly scorer: string
  /** Undefined: the weight of the scorer. */
  readonly parameter: string | undefined
}

/** Numbers of a profile, in the order of its settings. */
export type Point = readonly number[]

/** What can be set in a profile, and today's values. */
export interface TuneSpace {
  readonly base: ProfilePlan
  readonly settings: readonly Setting[]
}

/** Weights beyond it change nothing that a ratio of weights would not. */
const mostWeight = 100

/** A scorer that is not in the profile comes in with about this weight. */
const firstWeight = 1

/** Chance that a draw leaves a scorer out, where others are left. */
const dropChance = 0.15

/** What a space is made from. */
export interface TuneSpacePorts {
  readonly plugins: readonly PluginDefinition[]
  /** Types of scorers that may come in where the profile does not have them. */
  readonly candidates: readonly string[]
}

/**
 * The weights of the scorers that the profile has or may get, and the number parameters of those that it has; the weight of a
 * scorer that is alone changes nothing, and is left out. Filters and picker stay as they are: they say what may be done, not what
 * is better. So of the gateway's default profile nothing is left but its two preferences.
 */
export function tuneSpaceOf(base: ProfilePlan, { plugins, candidates }: TuneSpacePorts): TuneSpace {
  const types = new Set([...base.scorers.map(({ type }) => type), ...candidates])
  const settings = plugins
    .filter(({ point, type }) => point === 'scorer' && types.has(type))
    .flatMap((plugin): readonly Setting[] => {
      const use = base.scorers.find(({ type }) => type === plugin.type)
      const weight = {
        label: `weight of ${plugin.type}`,
        value: use?.weight ?? 0,
        least: 0,
        most: mostWeight,
        isWhole: false,
        scorer: plugin.type,
        parameter: undefined,
      }
      if (use === undefined) return [weight]
      const weights = types.size > 1 ? [weight] : []
      const parameters = numericParameters(plugin).map(({ name, value, ...range }) => ({
        ...range,
        label: `${name} of ${plugin.type}`,
        value: Number(use.parameters[name] ?? value),
        scorer: plugin.type,
        parameter: name,
      }))
      return [...weights, ...parameters]
    })
  return { base, settings }
}

/** Today's values. */
export function basePoint({ settings }: TuneSpace): Point {
  return settings.map(({ value }) => value)
}

/** The profile at a point. A scorer with the weight 0 is left out. */
export function profileAt({ base, settings }: TuneSpace, point: Point): ProfilePlan {
  const types = [...new Set(settings.map(({ scorer }) => scorer))]
  const scorers = types.flatMap((type) => {
    const own = settings.flatMap((setting, i) => (setting.scorer === type ? [{ setting, value: point[i] ?? 0 }] : []))
    const today = base.scorers.find((each) => each.type === type)
    const weight = own.find(({ setting }) => setting.parameter === undefined)?.value ?? today?.weight ?? 0
    if (weight === 0) return []
    const changed = own.flatMap(({ setting: { parameter, value: before }, value }) =>
      parameter === undefined || value === before ? [] : [[parameter, value] as const],
    )
    return [{ type, weight, parameters: { ...today?.parameters, ...Object.fromEntries(changed) } }]
  })
  return { ...base, scorers }
}

/** Three digits: more say nothing, and what is printed is what was measured. */
function fitted(value: number, { least, most, isWhole }: Setting): number {
  const bounded = Math.max(least, Math.min(most, Number(value.toPrecision(3))))
  return isWhole ? Math.round(bounded) : bounded
}

/** A point with one setting moved as far as shows whether it matters: four times as much, or a quarter at the upper end. */
export function movedPoint({ settings }: TuneSpace, point: Point, index: number): Point {
  const setting = settings[index]
  const value = point[index]
  if (setting === undefined || value === undefined) return point
  const more = value === 0 ? (setting.parameter === undefined ? firstWeight : setting.most / 2) : value * 4
  const moved = fitted(more, setting)
  return point.with(index, moved === value ? fitted(value / 4, setting) : moved)
}

/** Draws a point around another; `spread` is in octaves. Only the settings named by `free` move. */
export function drawPoint(
  { settings }: TuneSpace,
  around: Point,
  { rng, spread, free }: { readonly rng: Rng; readonly spread: number; readonly free: readonly number[] },
): Point {
  const drawn = around.map((value, i) => {
    const setting = settings[i]
    if (setting === undefined || !free.includes(i)) return value
    const octaves = spread * normal(rng)
    const chance = rng()
    if (setting.parameter === undefined && chance < dropChance) return 0
    const from = value > 0 ? value : setting.parameter === undefined ? firstWeight : setting.most / 4
    return fitted(from * 2 ** octaves, setting)
  })
  const weights = settings.flatMap(({ parameter }, i) => (parameter === undefined ? [drawn[i] ?? 0] : []))
  return weights.length === 0 || weights.some((weight) => weight > 0) ? drawn : around
}

function normal(rng: Rng): number {
  return Math.sqrt(-2 * Math.log(1 - rng())) * Math.cos(2 * Math.PI * rng())
}

/** A setting that is other than today. */
export interface Change {
  readonly label: string
  readonly from: number
  readonly to: number
}

/** What a point changes of today's values. */
export function changesOf({ settings }: TuneSpace, point: Point): readonly Change[] {
  return settings.flatMap(({ label, value, scorer, parameter }, i) => {
    const to = point[i] ?? value
    const weightAt = settings.findIndex((each) => each.scorer === scorer && each.parameter === undefined)
    const isMoot = parameter !== undefined && point[weightAt] === 0
    return to === value || isMoot ? [] : [{ label, from: value, to }]
  })
}

/** Plain scalars that YAML reads back as they are written. */
function scalar(value: unknown): string {
  return typeof value === 'string' && /^[A-Za-z][A-Za-z0-9-]*$/.test(value) ? value : JSON.stringify(value)
}

function pluginText({ type, parameters }: PluginPlan, weight?: number): string {
  const entries = [...(weight === undefined ? [] : [['weight', weight] as const]), ...Object.entries(parameters)]
  if (entries.length === 0) return type
  return `{ type: ${type}, ${entries.map(([key, value]) => `${key}: ${scalar(value)}`).join(', ')} }`
}

/** A profile as the gateway's configuration has it (docs/reference/config.md, `profiles`). */
export function profileYaml(name: string, { filters, scorers, picker }: ProfilePlan): string {
  const list = (key: string, items: readonly string[]): readonly string[] =>
    items.length === 0 ? [`    ${key}: []`] : [`    ${key}:`, ...items.map((item) => `      - ${item}`)]
  return [
    'profiles:',
    `  ${name}:`,
    ...list(
      'filters',
      filters.map((each) => pluginText(each)),
    ),
    ...list(
      'scorers',
      scorers.map((each) => pluginText(each, each.weight)),
    ),
    `    picker: ${pluginText(picker)}`,
    '',
  ].join('\n')
}
