/** Live numbers of a simulated server. */
export interface SimStats {
  readonly running: number
  readonly waiting: number
  readonly finished: number
  /** Requests taken out of the engine because their client left. */
  readonly aborted: number
  readonly usedBlocks: number
  readonly promptTokens: number
  readonly cachedTokens: number
  readonly outputTokens: number
  /** Model calls being answered now, hanging ones included. */
  readonly openCalls: number
  /** Model calls received since the start. */
  readonly calls: number
}
