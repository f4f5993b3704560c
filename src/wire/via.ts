import { trimBlanks } from './http1/trim-blanks.ts'
/** Name of this software in `via`, which proxies write instead of their address (RFC 9110 7.6.3). */
export const viaPseudonym = 'infer-gateway'

/** What this gateway adds to `via`: a list of its own line, or behind those that came. */
export const viaElement = `1.1 ${viaPseudonym}`

/** How often the gateway stands in one value of `via`. */
export function viaCount(value: string): number {
  if (!value.includes(viaPseudonym)) return 0
  let count = 0
  for (const element of value.split(',')) {
    const [, by] = trimBlanks(element).split(/[\t ]+/, 2)
    if (by === viaPseudonym) count++
  }
  return count
}
