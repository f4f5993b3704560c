import type { InferenceRequest, StreamOptions } from '#core/request.ts'

/** What a body says, whatever its form. */
export type BodyFacts = Pick<
  InferenceRequest,
  'model' | 'modelSpans' | 'stream' | 'streamOptions' | 'promptSpans' | 'promptBytes' | 'maxTokens' | 'session'
>

/** Stream options of a body that has none. */
export const noStreamOptions: StreamOptions = { span: undefined, includeUsageSpan: undefined, includeUsage: false }
