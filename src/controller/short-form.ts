import type { ConfigDocument } from '#config/config-document.ts'
import { hintFor, issueProblems } from '#config/issue-problems.ts'
import type { ModelConfig } from '#config/schema/model-schema.ts'
import { shortFormSchema } from '#config/schema/short-form-schema.ts'
import type { ModelServerPlan, RulePlan } from '#config/snapshot.ts'
import { below, complain, type Findings, placeText, type Spot, warn } from './findings.ts'
import type { ShortFormPart } from './gateway-settings.ts'
import type { AgedRoute } from './route-order.ts'
import { sessionsOf } from './sessions.ts'

/** A model of the short form and where it stands. */
export interface NamedModel {
  readonly name: string
  readonly spot: Spot
  readonly model: ModelConfig
  /** Position of its document: the age of its routes. */
  readonly order: number
}

/** Key of a model among the model servers, and name of its route. No namespace of Kubernetes holds it. */
export function modelKey(name: string): string {
  return `models/${name}`
}

/** Checks the short-form documents against the schema; each setting may stand in one of them only. */
export function readShortForms(documents: readonly ConfigDocument[], findings: Findings): ShortFormPart[] {
  const parts: ShortFormPart[] = []
  const settings = new Map<string, Spot>()
  for (const document of documents) {
    if (document.manifest !== undefined) continue
    const result = shortFormSchema.safeParse(document.value)
    if (!result.success) {
      findings.problems.push(...issueProblems(document, result.error.issues))
      continue
    }
    for (const key of Object.keys(document.value)) {
      if (key === 'models' || key === 'profiles') continue
      const spot = { document, path: [key] }
      const earlier = settings.get(key)
      if (earlier === undefined) settings.set(key, spot)
      else
        complain(findings, spot, `'${key}' is given a second time; the first is in ${placeText(earlier)}`, {
          spot: 'key',
        })
    }
    parts.push({ spot: { document, path: [] }, value: result.data })
  }
  return parts
}

/** The entries of `models` or `profiles` of all parts; a name that is given twice is a problem. */
export function namedEntries<Key extends 'models' | 'profiles'>(
  parts: readonly ShortFormPart[],
  key: Key,
  findings: Findings,
): { name: string; spot: Spot; value: NonNullable<ShortFormPart['value'][Key]>[string] }[] {
  const entries = new Map<
    string,
    { name: string; spot: Spot; value: NonNullable<ShortFormPart['value'][Key]>[string] }
  >()
  for (const part of parts) {
    for (const [name, value] of Object.entries(part.value[key] ?? {})) {
      const spot = below(part.spot, key, name)
      const earlier = entries.get(name)
      // biome-ignore format: the two belong together
      if (earlier !== undefined) complain(findings, spot, `'${name}' is given a second time; the first is in ${placeText(earlier.spot)}`, { spot: 'key' })
      else entries.set(name, { name, spot, value: value as NonNullable<ShortFormPart['value'][Key]>[string] })
    }
  }
  return [...entries.values()]
}

/** Names of one kind, and where each was given first. */
type Names = Map<string, Spot>

/**
 * Routes of the models: one by the model's name, which owns its adapters, and one by each alias. They have no conditions,
 * so a name that two of them claim would hide one of them: that is a problem.
 */
export function modelRoutes(models: readonly NamedModel[], findings: Findings): AgedRoute[] {
  const bases: Names = new Map(models.map(({ name, spot }) => [name, spot]))
  const adapters: Names = new Map()
  const claim = (names: Names, name: string, spot: Spot, what: string): boolean => {
    const earlier = names.get(name)
    if (earlier !== undefined) complain(findings, spot, `${what} '${name}' is taken: ${placeText(earlier)}`)
    else names.set(name, spot)
    return earlier === undefined
  }
  return models.flatMap(({ name, spot, model, order }) => {
    checkName(name, spot, findings)
    const aliases = model.aliases.filter((alias, i) => claim(bases, alias, below(spot, 'aliases', i), 'alias'))
    for (const [i, adapter] of model.adapters.entries()) claim(adapters, adapter, below(spot, 'adapters', i), 'adapter')
    const rules = [ruleOf(name, model, spot, findings)]
    const route = (modelName: string, own: readonly string[]): AgedRoute => ({
      route: { name: modelKey(modelName), modelName, adapters: own, attached: false, rules },
      createdMs: undefined,
      resourceVersion: '',
      order,
    })
    return [route(name, model.adapters), ...aliases.map((alias) => route(alias, []))]
  })
}

function checkName(name: string, spot: Spot, findings: Findings): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (name !== '' && name.length <= 256 && !/[\u0000-\u001f\u007f]/.test(name)) return
  complain(findings, spot, 'the name of a model has 1 to 256 characters and no control characters', { spot: 'key' })
}

function ruleOf(name: string, model: ModelConfig, spot: Spot, findings: Findings): RulePlan {
  const targets =
    model.split === undefined
      ? [{ modelServer: modelKey(name), weight: 1 }]
      : Object.entries(model.split).map(([target, weight]) => ({ modelServer: modelKey(target), weight }))
  const { split, profile, sessionFrom } = model
  const own = split === undefined || profile === undefined ? {} : { profile }
  const sessions =
    sessionFrom === undefined ? {} : { sessions: sessionsOf(sessionFrom, below(spot, 'sessionFrom'), findings) }
  return { name: undefined, headers: [], path: undefined, model: undefined, ...own, ...sessions, targets }
}

const kinds = ['endpoints', 'provider', 'split'] as const

/** Keys that mean nothing to a kind of model. */
const meaningless: Readonly<Record<(typeof kinds)[number], readonly string[]>> = {
  endpoints: ['baseUrl'],
  provider: ['engine', 'dataParallel', 'scrape', 'kvEvents', 'adapters'],
  split: [
    'engine',
    'servedModel',
    'adapters',
    'dataParallel',
    'baseUrl',
    'apiKey',
    'headers',
    'timeouts',
    'retry',
    'tls',
    'scrape',
    'kvEvents',
    'injectUsage',
  ],
}

/** Whether a model says where its requests go, in exactly one way; complains when it does not. */
export function isOneKind({ name, model, spot }: NamedModel, findings: Findings): boolean {
  const given = kinds.filter((kind) => model[kind] !== undefined)
  const [kind] = given
  if (kind === undefined) {
    const hint = 'give it endpoints (your own model servers), a provider, or a split over other models'
    complain(findings, spot, `model '${name}' has nowhere to send requests`, { hint, spot: 'key' })
    return false
  }
  if (given.length > 1) {
    const second = below(spot, given[1] ?? kind)
    const hint = 'make two models of it; a third can split requests between them'
    complain(findings, second, `${given.join(' and ')} at once: a model is one of them`, { hint, spot: 'key' })
    return false
  }
  const raw = rawKeys(spot)
  for (const key of meaningless[kind].filter((one) => raw.includes(one))) {
    const hint = key === 'baseUrl' ? 'put the URL into endpoints, or name the provider' : undefined
    complain(findings, below(spot, key), `'${key}' has no meaning beside '${kind}'`, { hint, spot: 'key' })
  }
  return true
}

function rawKeys({ document, path }: Spot): readonly string[] {
  let value: unknown = document.value
  for (const key of path) value = (value as Record<string | number, unknown>)[key]
  return Object.keys(value as object)
}

/** Checks that a split leads to models that have endpoints or a provider, with a total weight above zero. */
export function checkSplit(
  { spot, model }: NamedModel,
  models: readonly NamedModel[],
  servers: readonly ModelServerPlan[],
  findings: Findings,
): void {
  const split = model.split ?? {}
  const at = below(spot, 'split')
  const names = models.filter((one) => one.model.split === undefined).map((one) => one.name)
  for (const target of Object.keys(split)) {
    if (servers.some(({ key }) => key === modelKey(target))) continue
    const isSplit = models.some((one) => one.name === target && one.model.split !== undefined)
    if (names.includes(target)) continue
    const message = isSplit ? `'${target}' is itself a split` : `no model '${target}'`
    complain(findings, below(at, target), message, {
      hint: hintFor(target, names, 'models to split over'),
      spot: 'key',
    })
  }
  const weights = Object.values(split)
  if (weights.length === 0) complain(findings, at, "'split' must name at least one model", { spot: 'key' })
  else if (weights.every((weight) => weight === 0)) {
    complain(findings, at, 'the weights of this split add up to 0, so that nothing could be chosen', { spot: 'key' })
  }
  if (weights.length === 1) warn(findings, at, 'a split over one model is an alias', { spot: 'key' })
}
