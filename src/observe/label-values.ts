import { noneLabel, otherLabel } from './catalog.ts'

/**
 * The part of a snapshot that decides which label values exist (config/snapshot.ts fits it). Clients write model names
 * as they like, so only names that the configuration knows become labels.
 */
export interface LabelSource {
  readonly listeners: readonly { readonly name: string }[]
  readonly routes: readonly { readonly modelName: string | undefined; readonly adapters: readonly string[] }[]
  readonly modelServers: readonly { readonly key: string; readonly engine: string }[]
}

/** Label values allowed under one snapshot. */
export interface LabelValues {
  /** The name itself when a route serves it, `other` when none does, `none` when there is no name. */
  modelLabel(model: string): string
  modelServerLabel(key: string): string
  listenerLabel(listener: string): string
  /** Engine of a model server, or `none`. */
  providerLabel(modelServer: string | undefined): string
}

/** Reads the label values out of a snapshot. */
export function labelValuesFrom(source: LabelSource): LabelValues {
  const models = new Set<string>()
  for (const { modelName, adapters } of source.routes) {
    if (modelName !== undefined) models.add(modelName)
    for (const adapter of adapters) models.add(adapter)
  }
  const engines = new Map(source.modelServers.map(({ key, engine }) => [key, engine]))
  const listeners = new Set(source.listeners.map(({ name }) => name))
  const known = (names: { has(name: string): boolean }, name: string): string => {
    if (name === '') return noneLabel
    return names.has(name) ? name : otherLabel
  }
  return {
    modelLabel: (model) => known(models, model),
    modelServerLabel: (key) => known(engines, key),
    listenerLabel: (listener) => known(listeners, listener),
    providerLabel: (modelServer) => (modelServer === undefined ? noneLabel : (engines.get(modelServer) ?? otherLabel)),
  }
}
