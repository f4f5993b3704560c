import type { Api } from './api.ts'
import type { HeaderList } from './header-list.ts'

/** A byte range of a body: [start, end). */
export interface Span {
  readonly start: number
  readonly end: number
}

/** A part of a prompt in the body. */
export interface PromptSpan extends Span {
  /**
   * Bytes of text that a picture, sound or file counts as: four for each token that an engine makes of it, roughly.
   * Undefined: the bytes are text, and count as themselves.
   */
  readonly countsAs?: number | undefined
}

/** A body as it came: slices in order, never joined. The slices are owned by the request and not written to. */
export interface Body {
  readonly slices: readonly Buffer[]
  readonly bytes: number
}

/** Streaming options as the client sent them; decides what is spliced in and what is hidden from the answer. */
export interface StreamOptions {
  /** The `stream_options` value, or undefined when the key is absent. */
  readonly span: Span | undefined
  /** The `include_usage` value inside it, or undefined when absent. */
  readonly includeUsageSpan: Span | undefined
  /**
   * Whether the client asked for the usage chunk. Also true where it wrote something that is neither a boolean, nor
   * null, nor absent: engines read 1 or "true" differently, so such options reach them as they are.
   */
  readonly includeUsage: boolean
}

/** What is known of a call once parsed. Immutable. */
export interface InferenceRequest {
  /** `x-request-id`: the client's, or made by the gateway. */
  readonly id: string
  readonly api: Api
  /** Path without query, as matched. */
  readonly path: string
  /** Request target as sent: path and query. */
  readonly target: string
  readonly headers: HeaderList
  readonly body: Body
  /** The model name as the client wrote it, unescaped. */
  readonly model: string
  /** Every place where the body names the model: JSON values with their quotes, or the bare value of a form field. */
  readonly modelSpans: readonly Span[]
  readonly stream: boolean
  readonly streamOptions: StreamOptions
  /**
   * Where the prompt is: values of messages, prompt, input, system... in body order, cut where something is no text. Empty
   * when there is none.
   */
  readonly promptSpans: readonly PromptSpan[]
  /** Bytes of text that the prompt counts as: those of its spans of text, and what the others count as. */
  readonly promptBytes: number
  /** `max_tokens`, `max_completion_tokens` or `max_output_tokens`, when given as a plain number. */
  readonly maxTokens: number | undefined
  /** A stable hint of who continues which conversation: `prompt_cache_key`, `user` or `metadata.user_id`, when given. */
  readonly session: string | undefined
  /** What the client keeps its cached prompts apart with: `cache_salt`, and SGLang's `extra_key` behind it. */
  readonly cacheSalt: string | undefined
}
