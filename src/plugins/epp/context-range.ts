import { z } from 'zod'

/** Prompt lengths, in tokens, that an endpoint is meant for; both ends included. */
export interface ContextRange {
  readonly min: number
  readonly max: number
}

/** Reads `min-max`; undefined when it is not that. */
export function parseContextRange(text: string): ContextRange | undefined {
  const match = /^\s*\+?(\d{1,9})\s*-\s*\+?(\d{1,9})\s*$/.exec(text)
  const [min, max] = [Number(match?.[1]), Number(match?.[2])]
  return min <= max ? { min, max } : undefined
}

/** Label of endpoints that carries their range. */
export const contextLengthLabel = z
  .string()
  .min(1)
  .max(317)
  .default('llm-d.ai/context-length-range')
  .describe('Label of endpoints with their range of prompt lengths, `min-max` in tokens.')

/** What an endpoint's label says, read once per text. One per plug-in. */
export class ContextRanges {
  readonly #label: string
  readonly #byText = new Map<string, ContextRange | 'invalid'>()

  constructor(label: string) {
    this.#label = label
  }

  /** Undefined without the label. */
  of(labels: Readonly<Record<string, string>> | undefined): ContextRange | 'invalid' | undefined {
    const text = labels?.[this.#label]
    if (text === undefined) return undefined
    const known = this.#byText.get(text)
    if (known !== undefined) return known
    const range = parseContextRange(text) ?? 'invalid'
    this.#byText.set(text, range)
    return range
  }
}
