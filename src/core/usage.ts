/** Token usage as the engine reported it; undefined where it said nothing. */
export interface Usage {
  readonly inputTokens: number | undefined
  readonly outputTokens: number | undefined
  /** Input tokens served from the engine's prefix cache; part of inputTokens. */
  readonly cachedTokens: number | undefined
}

/** Nothing reported. */
export const noUsage: Usage = { inputTokens: undefined, outputTokens: undefined, cachedTokens: undefined }
