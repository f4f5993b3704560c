import type { Manifests } from '#config/manifests/read-manifests.ts'
import type { ProfilePlan } from '#config/snapshot.ts'
import type { PluginDefinition } from '#contracts/plugin.ts'
import { complain, type Findings, placeText, type Spot } from '#controller/findings.ts'
import { translateEndpointPicker } from './endpoint-picker.ts'

interface Ports {
  readonly plugins: readonly PluginDefinition[]
  readonly findings: Findings
}

/**
 * The profiles of the EndpointPickerConfigs, by name. Each has the name of its document, which is `default` without
 * metadata. A single document is the profile `default` besides, whatever its name, unless the short form has one of
 * that name. `taken` are the names of the short form and where they stand.
 */
export function endpointPickerProfiles(
  { endpointPickers }: Pick<Manifests, 'endpointPickers'>,
  taken: ReadonlyMap<string, Spot>,
  ports: Ports,
): Record<string, ProfilePlan> {
  const places = new Map(taken)
  const profiles: Record<string, ProfilePlan> = {}
  for (const manifest of endpointPickers) {
    const { name } = manifest.value.metadata
    const spot = { document: manifest.document, path: ['metadata', 'name'] }
    const translated = translateEndpointPicker(manifest, ports)
    const earlier = places.get(name)
    if (earlier !== undefined) {
      const message = `there is another profile '${name}' in ${placeText(earlier)}`
      complain(ports.findings, spot, message, { hint: "give it another 'metadata.name'" })
      continue
    }
    places.set(name, spot)
    if (translated === undefined) continue
    const { plan, members } = translated
    profiles[name] = plan
    if (endpointPickers.length === 1 && !places.has('default')) profiles['default'] = plan
    for (const [member, memberPlan] of Object.entries(members)) {
      const other = places.get(member)
      if (other === undefined) profiles[member] = memberPlan
      else complain(ports.findings, spot, `there is another profile '${member}' in ${placeText(other)}`)
    }
  }
  return profiles
}
