import { hintFor } from '#config/issue-problems.ts'
import type { EndpointPickerObject } from '#config/manifests/endpoint-picker-schema.ts'
import type { Manifest } from '#config/manifests/read-manifests.ts'
import { below, complain, type Findings, type Spot, warn } from '#controller/findings.ts'
import { type EppPlace, type EppType, eppTypes } from './catalogue.ts'

/** An entry of `plugins`. */
export interface Instance {
  readonly name: string
  readonly type: string
  readonly known: EppType
  readonly parameters: Readonly<Record<string, unknown>>
  readonly spot: Spot
}

/** The entries of `plugins` by name, in their order; what is unknown or refused is complained of and left out. */
export interface Instances {
  readonly byName: ReadonlyMap<string, Instance>
  /** Names that stand there, refused ones included: referring to those is no further problem. */
  readonly names: ReadonlySet<string>
}

/** Reads `plugins`. */
export function instancesOf(manifest: Manifest<EndpointPickerObject>, findings: Findings): Instances {
  const { document, value } = manifest
  const byName = new Map<string, Instance>()
  const names = new Set<string>()
  for (const [index, { type, name = type, parameters }] of value.plugins.entries()) {
    const spot = { document, path: ['plugins', index] }
    if (names.has(name)) {
      const hint = "give one of them another 'name'"
      complain(findings, below(spot, name === type ? 'type' : 'name'), `two plug-ins are named '${name}'`, { hint })
      continue
    }
    names.add(name)
    const known = Object.hasOwn(eppTypes, type) ? eppTypes[type] : undefined
    if (known === undefined) {
      complain(findings, below(spot, 'type'), `unknown plug-in type '${type}'`, { hint: nearOf(type) })
    } else if (known.refused !== undefined) {
      complain(findings, below(spot, 'type'), `'${type}' cannot be used: ${known.refused}`)
    } else {
      byName.set(name, { name, type, known, parameters, spot })
    }
  }
  return { byName, names }
}

function nearOf(type: string): string | undefined {
  const hint = hintFor(type, Object.keys(eppTypes), 'types')
  return hint?.startsWith('did you mean') === true ? hint : undefined
}

const placeWords: Readonly<Record<EppPlace, string>> = {
  profile: 'a filter, scorer or picker',
  handler: 'a profile handler',
  producer: 'a data producer',
  parser: 'a parser',
  source: 'a data source',
  extractor: 'an extractor',
  other: 'of another kind',
}

/** The plug-in that a reference names, when it is of one of these places; complains when it is not. */
export function referred(
  { byName, names }: Instances,
  name: string,
  places: readonly EppPlace[],
  { spot, findings }: { readonly spot: Spot; readonly findings: Findings },
): Instance | undefined {
  const instance = byName.get(name)
  if (instance === undefined) {
    if (names.has(name)) return undefined
    complain(findings, spot, `no plug-in is named '${name}'`, { hint: hintFor(name, [...names], 'plug-ins') })
    return undefined
  }
  if (places.includes(instance.known.place)) return instance
  const wanted = placeWords[places[0] ?? 'other']
  complain(findings, spot, `'${name}' is ${placeWords[instance.known.place]}, not ${wanted}`)
  return undefined
}

/** Checks the parameters of a plug-in that does nothing here, and says why it does nothing. */
export function checkIdle({ known, type, parameters, spot }: Instance, findings: Findings): void {
  const { idle, parameters: taken = [] } = known
  if (idle === undefined) return
  for (const key of Object.keys(parameters)) {
    if (taken.includes(key)) continue
    const hint = hintFor(key, taken, 'keys that stand here')
    complain(findings, below(spot, 'parameters', key), `unknown key '${key}'`, { spot: 'key', hint })
  }
  if (idle !== '') warn(findings, below(spot, 'type'), `'${type}' does nothing here: ${idle}`)
}
