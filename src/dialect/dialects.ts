import type { DialectName } from '#core/api.ts'
import { anthropicError, anthropicErrorEvent } from './anthropic/error.ts'
import { anthropicUsage } from './anthropic/usage.ts'
import type { Dialect } from './dialect.ts'
import { openaiError, openaiErrorEvent } from './openai/error.ts'
import { isOpenaiUsageOnly, openaiUsage } from './openai/usage.ts'

const dialects: Readonly<Record<DialectName, Dialect>> = {
  openai: {
    name: 'openai',
    errorBody: openaiError,
    errorEvent: openaiErrorEvent,
    usageOf: openaiUsage,
    isUsageOnly: isOpenaiUsageOnly,
  },
  anthropic: {
    name: 'anthropic',
    errorBody: anthropicError,
    errorEvent: anthropicErrorEvent,
    usageOf: anthropicUsage,
    isUsageOnly: () => false,
  },
}

/** The API family of that name. */
export function dialectOf(name: DialectName): Dialect {
  return dialects[name]
}
