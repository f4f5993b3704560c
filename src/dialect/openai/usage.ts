import type { Usage } from '#core/usage.ts'
import { isJsonRecord, type JsonRecord, tokenCount } from '#dialect/dialect.ts'

/**
 * Usage of an OpenAI-shaped reply or event: `usage` of chat, completions, embeddings (prompt_tokens ...), `usage` of
 * the Responses API (input_tokens ..., in streams inside `response`), `meta_info` of SGLang's /generate.
 */
export function openaiUsage(record: JsonRecord): Usage | undefined {
  const holder = isJsonRecord(record.response) ? record.response : record
  const usage = isJsonRecord(holder.usage) ? holder.usage : holder.meta_info
  if (!isJsonRecord(usage)) return undefined
  const details = usage.prompt_tokens_details ?? usage.input_tokens_details
  const cached = isJsonRecord(details) ? details.cached_tokens : usage.cached_tokens
  return {
    inputTokens: tokenCount(usage.prompt_tokens ?? usage.input_tokens),
    outputTokens: tokenCount(usage.completion_tokens ?? usage.output_tokens),
    cachedTokens: tokenCount(cached),
  }
}

/** The last chunk of a stream with `include_usage`: usage and an empty list of choices. */
export function isOpenaiUsageOnly(record: JsonRecord): boolean {
  return Array.isArray(record.choices) && record.choices.length === 0 && isJsonRecord(record.usage)
}
