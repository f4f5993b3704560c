import { type Refusal, refuse } from '#core/refusal.ts'
import { queryParameters } from '#wire/query.ts'
import { type BodyFacts, noStreamOptions } from './body-facts.ts'

/** Reads the query of a call that has no body: the model is a parameter. */
export function readQuery(target: string): BodyFacts | Refusal {
  const found = queryParameters(target, 'model')
  const model = found?.[0]?.value ?? ''
  // Which of several an engine takes is not known here, and it must be the one that was routed.
  if (found === undefined || found.some(({ value }) => value !== model)) {
    const message = 'The query must name one model, percent-encoded: ?model=NAME. GET /v1/models lists them.'
    return refuse('missing-model', message, { param: 'model' })
  }
  return {
    model: model.trim() === '' ? '' : model,
    modelSpans: [],
    stream: false,
    streamOptions: noStreamOptions,
    promptSpans: [],
    promptBytes: 0,
    maxTokens: undefined,
    session: undefined,
    cacheSalt: undefined,
  }
}
