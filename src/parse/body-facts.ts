import type { InferenceRequest, StreamOptions } from '#core/request.ts'

/** What a body says, whatever its form. */
export type BodyFacts = Pick<
  InferenceRequest,
  | 'model'
  | 'modelSpans'
  | 'stream'
  | 'streamOptions'
  | 'promptSpans'
  | 'promptBytes'
  | 'maxTokens'
  | 'session'
  | 'cacheSalt'
>

/** What a token counts as in `promptBytes`. */
export const bytesPerToken = 4

/** Stream options of a body that has none. */
export const noStreamOptions: StreamOptions = { span: undefined, includeUsageSpan: undefined, includeUsage: false }
