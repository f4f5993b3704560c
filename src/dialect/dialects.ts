import type { DialectName } from '#core/api.ts'
import { anthropicError, anthropicErrorEvent } from './anthropic/error.ts'
import { anthropicEventKind } from './anthropic/event.ts'
import { anthropicUsage } from './anthropic/usage.ts'
import type { Dialect } from './dialect.ts'
import { openaiError, openaiErrorEvent } from './openai/error.ts'
import { openaiEventKind } from './openai/event.ts'
import { isOpenaiUsageOnly, openaiUsage } from './openai/usage.ts'

const dialects: Readonly<Record<DialectName, Dialect>> = {
  openai: {
    name: 'openai',
    errorBody: openaiError,
    errorEvent: openaiErrorEvent,
    usageOf: openaiUsage,
    isUsageOnly: isOpenaiUsageOnly,
    eventKind: openaiEventKind,
  },
  anthropic: {
    name: 'anthropic',
    errorBody: anthropicError,
    errorEvent: anthropicErrorEvent,
    usageOf: anthropicUsage,
    isUsageOnly: () => false,
    eventKind: anthropicEventKind,
  },
}

/** The API family of that name. */
export function dialectOf(name: DialectName): Dialect {
  return dialects[name]
}
