import type { ApiName } from '#core/api.ts'

/** The convention's own names, where one applies. Its chat is any conversation, so Responses and Messages are too. */
const conventionNames: Partial<Readonly<Record<ApiName, string>>> = {
  chat: 'chat',
  responses: 'chat',
  messages: 'chat',
  completions: 'text_completion',
  generate: 'text_completion',
  embeddings: 'embeddings',
}

/** Value of `gen_ai.operation.name` for an API: the name of our API where the convention has none, as it allows. */
export function operationName(api: ApiName): string {
  return conventionNames[api] ?? api
}
