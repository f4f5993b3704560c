import type { Usage } from '#core/usage.ts'
import { isJsonRecord, type JsonRecord, tokenCount } from '#dialect/dialect.ts'

/**
 * Usage of an Anthropic reply or event: `usage` at the top (reply, message_delta), or inside `message` (message_start).
 * `input_tokens` leaves out what came from the cache or was written to it, so the three are added up.
 */
export function anthropicUsage(record: JsonRecord): Usage | undefined {
  const holder = isJsonRecord(record.message) ? record.message : record
  const { usage } = holder
  if (!isJsonRecord(usage)) return undefined
  const input = tokenCount(usage.input_tokens)
  const cached = tokenCount(usage.cache_read_input_tokens)
  const created = tokenCount(usage.cache_creation_input_tokens)
  return {
    inputTokens: input === undefined ? undefined : input + (cached ?? 0) + (created ?? 0),
    outputTokens: tokenCount(usage.output_tokens),
    cachedTokens: cached,
  }
}
