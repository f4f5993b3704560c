import type { ApiName, DialectName } from '#core/api.ts'
import type { Refusal } from '#core/refusal.ts'
import type { Usage } from '#core/usage.ts'

/** A JSON object whose members are not yet known. */
export type JsonRecord = Readonly<Record<string, unknown>>

/**
 * What an event of a stream is. `preamble`: nothing generated yet, so that nothing is lost if another endpoint answers
 * instead. `error`: the engine cannot go on. `content`: everything else, errors that are the request's own among it.
 */
export type EventKind = 'preamble' | 'content' | 'error'

/** What the gateway must know of an API family. One folder per family, the same file names in each. */
export interface Dialect {
  readonly name: DialectName
  /** Body of an error answer to a refusal. */
  errorBody(refusal: Refusal): string
  /** Server-sent event that ends a stream which cannot go on. */
  errorEvent(refusal: Refusal, api: ApiName): string
  /** Usage in a reply or in one event of a stream; undefined when it has none. */
  usageOf(record: JsonRecord): Usage | undefined
  /** Whether an event holds nothing but the usage that the gateway asked for on its own account. */
  isUsageOnly(record: JsonRecord): boolean
  eventKind(record: JsonRecord): EventKind
}

/** Tells a JSON object from everything else. */
export function isJsonRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A token count, or undefined when the value is none. */
export function tokenCount(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined
}
