import { RE2JS } from 're2js'
import type { StringMatchObject } from '#config/manifests/model-route-schema.ts'
import type { StringMatchPlan } from '#config/snapshot.ts'
import { below, complain, type Findings, type Spot, warn } from './findings.ts'

const kinds = ['exact', 'prefix', 'regex'] as const

/**
 * A condition on one string. Several kinds at once are an error: it would be anybody's guess which of them counts. None
 * is no condition, and undefined; so is one that was refused.
 */
export function stringMatchOf(match: StringMatchObject, spot: Spot, findings: Findings): StringMatchPlan | undefined {
  const given = kinds.filter((kind) => match[kind] !== undefined)
  const [kind] = given
  if (kind === undefined) {
    warn(findings, spot, 'this condition is empty, so everything meets it', {
      hint: 'write one of exact, prefix, regex',
    })
    return undefined
  }
  if (given.length > 1) {
    const hint = 'keep one of them; for several conditions write several rules or one regex'
    complain(findings, below(spot, given[1] ?? kind), `${given.join(' and ')} at once: a condition is one of them`, {
      spot: 'key',
      hint,
    })
    return undefined
  }
  const value = match[kind] ?? ''
  const fails = kind === 'regex' ? regexFailure(value) : undefined
  if (fails === undefined) return { kind, value }
  const hint = 'the syntax is RE2: no look-around and no back-references'
  complain(findings, below(spot, 'regex'), `not a valid regular expression: ${fails}`, { hint })
  return undefined
}

function regexFailure(pattern: string): string | undefined {
  try {
    RE2JS.compile(pattern)
    return undefined
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return message.replace(/^error parsing regexp: /, '')
  }
}
