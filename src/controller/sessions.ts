import type { SessionSourcesConfig } from '#config/schema/gateway-schema.ts'
import type { SessionSource } from '#config/snapshot.ts'
import { below, complain, type Findings, type Spot } from './findings.ts'

/** Where sessions come from; each mapping names exactly one place. */
export function sessionsOf(sources: SessionSourcesConfig, spot: Spot, findings: Findings): readonly SessionSource[] {
  return sources.map((source, index): SessionSource => {
    if (typeof source === 'string') return { from: source, name: '' }
    const given = (['header', 'cookie', 'query', 'claim'] as const).filter((from) => source[from] !== undefined)
    const [from] = given
    if (from === undefined || given.length > 1) {
      const hint = "write each as an item of its own, such as 'header: x-session-id'"
      complain(findings, below(spot, index), 'a source of sessions is one of header, cookie, query and claim', { hint })
    }
    const name = from === undefined ? '' : (source[from] ?? '')
    return { from: from ?? 'body', name: from === 'header' ? name.toLowerCase() : name }
  })
}
