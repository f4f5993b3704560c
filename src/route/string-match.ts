import { RE2JS } from 're2js'
import type { StringMatchPlan } from '#config/snapshot.ts'

/** A compiled condition on one string. */
export type StringMatch = (value: string) => boolean

/**
 * Longest value that a regex is tried on, in UTF-16 units; a longer one does not match. RE2 is linear in the value, and
 * this bounds the constant: the worst pattern found took 0.3 ms for such a value.
 */
export const maxRegexInput = 4096

/** Compiles a condition. A regex is RE2 syntax and may match anywhere in the value (kthena-router.md 1.1). */
export function compileStringMatch({ kind, value: wanted }: StringMatchPlan): StringMatch {
  switch (kind) {
    case 'exact':
      return (value) => value === wanted
    case 'prefix':
      return (value) => value.startsWith(wanted)
    case 'regex': {
      const regex = RE2JS.compile(wanted)
      return (value) => value.length <= maxRegexInput && regex.test(value)
    }
  }
}
