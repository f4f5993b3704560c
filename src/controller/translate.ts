import type { ConfigDocument } from '#config/config-document.ts'
import type { Documents } from '#config/load-documents.ts'
import { type Manifests, readManifests } from '#config/manifests/read-manifests.ts'
import { type ConfigProblem, sortProblems } from '#config/problem.ts'
import type { ModelServerPlan, ProfilePlan, RoutePlan, Snapshot } from '#config/snapshot.ts'
import { type Env, hideValues } from '#config/substitute-env.ts'
import type { PluginDefinition } from '#contracts/plugin.ts'
import { maxAdapters, maxEndpoints } from '#datastore/endpoint-table.ts'
import { translateProvider } from './external-model-provider.ts'
import { below, complain, type Findings, type Spot, warn } from './findings.ts'
import { gatewaySettings, type ReadFile, type ShortFormPart } from './gateway-settings.ts'
import { translateModelRoute } from './model-route.ts'
import { translateModelServer } from './model-server.ts'
import { namedProfiles, type ProfilePlans, profilesInForce } from './named-profiles.ts'
import { type AgedRoute, orderRoutes } from './route-order.ts'
import { checkProfiles, choiceOf } from './scheduling.ts'
import {
  checkSplit,
  isOneKind,
  modelKey,
  modelRoutes,
  type NamedModel,
  namedEntries,
  readShortForms,
} from './short-form.ts'
import { translateModel } from './short-form-server.ts'

/** What a translation needs from outside. */
export interface TranslatePorts {
  /** Every plug-in there is: profiles name them, their schemas check the parameters. */
  readonly plugins: readonly PluginDefinition[]
  /** The profile `default` unless the configuration has one of that name. */
  readonly defaultProfile: ProfilePlan
  /** Profiles that may be named without being written. */
  readonly builtInProfiles?: ProfilePlans | undefined
  /** Environment variables that stand for settings of other gateways. */
  readonly env?: Env
  /** Reads certificates; absolute paths. */
  readonly readFile: ReadFile
  /** Addresses that a DNS name had last; empty when it has none or was never looked up. */
  readonly addresses: (name: string) => readonly string[]
  /** Clock.wallMs; undefined leaves alone whether certificates are in date. */
  readonly nowMs: number | undefined
}

/** A snapshot, or everything that keeps one from being made. Both in order of file and line. */
export type Translation =
  | { readonly ok: true; readonly snapshot: Snapshot; readonly warnings: readonly ConfigProblem[] }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[]; readonly warnings: readonly ConfigProblem[] }

/**
 * Turns the documents of a configuration into a snapshot of version 0, whose endpoints have no slots yet (-1): version
 * and slots are the datastore's. Depends on nothing but its arguments. Nothing of the environment is in the messages.
 */
export function translate(loaded: Documents, ports: TranslatePorts): Translation {
  const findings: Findings = { problems: [...loaded.problems], warnings: [] }
  const manifests = readManifests(loaded.documents)
  findings.problems.push(...manifests.problems)
  findings.warnings.push(...manifests.warnings)
  const parts = readShortForms(loaded.documents, findings)
  // References cannot be judged while a file is missing.
  const snapshot =
    loaded.problems.length === 0 ? assemble(loaded.documents, manifests, parts, { ...ports, findings }) : undefined
  const clean = (list: readonly ConfigProblem[]): ConfigProblem[] =>
    sortProblems(list).map((one) => ({ ...one, message: hideValues(one.message, loaded.used) }))
  const warnings = clean(findings.warnings)
  if (findings.problems.length > 0 || snapshot === undefined)
    return { ok: false, problems: clean(findings.problems), warnings }
  return { ok: true, snapshot, warnings }
}

function assemble(
  documents: readonly ConfigDocument[],
  manifests: Manifests,
  parts: readonly ShortFormPart[],
  ports: TranslatePorts & { readonly findings: Findings },
): Snapshot {
  const { findings } = ports
  const models = namedModels(documents, parts, findings)
  const modelServers = [
    ...models.filter(({ model }) => model.split === undefined).map((named) => translateModel(named, ports)),
    ...manifests.modelServers.map((manifest) => translateModelServer(manifest, manifests, findings)),
    ...manifests.providers.map((manifest) => translateProvider(manifest, manifests, findings)),
  ]
  for (const named of models) if (named.model.split !== undefined) checkSplit(named, models, modelServers, findings)
  const routes = orderRoutes([...modelRoutes(models, findings), ...agedRoutes(documents, manifests, findings)])
  const { builtInProfiles = {} } = ports
  const named = namedProfiles(parts, documents, manifests, ports)
  checkProfiles(models, manifests, named, findings)
  const { choice, profiles: all } = choiceOf(parts, named, ports.env ?? {}, findings)
  const profiles = profilesInForce(all, builtInProfiles, { modelServers, routes, choice })
  const snapshot = { version: 0, ...gatewaySettings(parts, ports), routes, modelServers, choice, profiles }
  checkNames(routes, adapterPlaces(models, manifests), findings)
  checkCounts(modelServers, snapshot, documents, findings)
  return snapshot
}

/** The models that say where their requests go. */
function namedModels(
  documents: readonly ConfigDocument[],
  parts: readonly ShortFormPart[],
  findings: Findings,
): NamedModel[] {
  return namedEntries(parts, 'models', findings)
    .map(({ name, spot, value }) => ({ name, spot, model: value, order: documents.indexOf(spot.document) }))
    .filter((named) => isOneKind(named, findings))
}

function agedRoutes(documents: readonly ConfigDocument[], manifests: Manifests, findings: Findings): AgedRoute[] {
  return manifests.modelRoutes.map((manifest) => {
    const { creationTimestamp, resourceVersion = '' } = manifest.value.metadata
    const createdMs = creationTimestamp === undefined ? undefined : Date.parse(creationTimestamp)
    if (Number.isNaN(createdMs)) {
      const spot = { document: manifest.document, path: ['metadata', 'creationTimestamp'] }
      complain(findings, spot, "'creationTimestamp' must be a time such as '2026-01-31T12:00:00Z'")
    }
    const order = documents.indexOf(manifest.document)
    return { route: translateModelRoute(manifest, manifests, findings), createdMs, resourceVersion, order }
  })
}

/** Where the adapters of each route stand, by the route's name. */
function adapterPlaces(models: readonly NamedModel[], manifests: Manifests): Map<string, Spot> {
  return new Map([
    ...models.map(({ name, spot }) => [modelKey(name), below(spot, 'adapters')] as const),
    ...manifests.modelRoutes.map(({ key, document }) => [key, { document, path: ['spec', 'loraAdapters'] }] as const),
  ])
}

/** A name that is both a model and an adapter is always taken for the model. */
function checkNames(routes: readonly RoutePlan[], places: ReadonlyMap<string, Spot>, findings: Findings): void {
  const owners = new Map(routes.map(({ modelName, name }) => [modelName, name]))
  for (const route of routes) {
    const place = places.get(route.name)
    if (place === undefined) continue
    for (const [index, adapter] of route.adapters.entries()) {
      const owner = owners.get(adapter)
      // A route that names itself has been warned of.
      if (owner === undefined || owner === route.name) continue
      const message = `'${adapter}' is also the model of ${owner}, which gets all requests for it`
      warn(findings, below(place, index), message)
    }
  }
}

function checkCounts(
  servers: readonly ModelServerPlan[],
  { routes }: Snapshot,
  documents: readonly ConfigDocument[],
  findings: Findings,
): void {
  const [document] = documents
  if (document === undefined) return
  const spot = { document, path: [] }
  const endpoints = servers.reduce((sum, server) => sum + server.endpoints.length, 0)
  if (endpoints > maxEndpoints) {
    complain(findings, spot, `${endpoints} endpoints are too many: one gateway holds at most ${maxEndpoints}`)
  }
  const adapters = new Set(routes.flatMap((route) => route.adapters)).size
  if (adapters > maxAdapters) {
    warn(findings, spot, `of ${adapters} adapters only ${maxAdapters} can be told apart when an endpoint is chosen`)
  }
  if (routes.length === 0 && findings.problems.length === 0)
    warn(findings, spot, 'no model is configured: every request will be refused')
}
