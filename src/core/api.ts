/** An API family: decides error shape, usage fields and stream events. */
export type DialectName = 'openai' | 'anthropic'

/** What a call asks for. One name per operation, whatever paths lead to it. */
export type ApiName =
  | 'chat'
  | 'completions'
  | 'responses'
  | 'messages'
  | 'count-tokens'
  | 'embeddings'
  | 'rerank'
  | 'score'
  | 'classify'
  | 'pooling'
  | 'tokenize'
  | 'detokenize'
  | 'transcriptions'
  | 'translations'
  | 'speech'
  | 'images'
  | 'image-edits'
  | 'generate'
  | 'realtime'

/**
 * How a call says what it asks for: where its model name is found. `websocket` has no body: its model stands in the query.
 */
export type BodyForm = 'json' | 'multipart' | 'websocket'

/** One operation of the gateway's HTTP surface. */
export interface Api {
  readonly name: ApiName
  readonly dialect: DialectName
  readonly form: BodyForm
  /** Paths (no query) that lead to it; all with POST, but `websocket` with GET. */
  readonly paths: readonly string[]
}
