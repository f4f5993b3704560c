import type { Api } from '#core/api.ts'

/** Every operation of the gateway that names a model, and the paths that lead to it. */
export const apis: readonly Api[] = [
  { name: 'chat', dialect: 'openai', form: 'json', paths: ['/v1/chat/completions'] },
  { name: 'completions', dialect: 'openai', form: 'json', paths: ['/v1/completions'] },
  { name: 'responses', dialect: 'openai', form: 'json', paths: ['/v1/responses'] },
  { name: 'messages', dialect: 'anthropic', form: 'json', paths: ['/v1/messages'] },
  { name: 'count-tokens', dialect: 'anthropic', form: 'json', paths: ['/v1/messages/count_tokens'] },
  { name: 'embeddings', dialect: 'openai', form: 'json', paths: ['/v1/embeddings'] },
  { name: 'rerank', dialect: 'openai', form: 'json', paths: ['/v1/rerank', '/rerank', '/v2/rerank'] },
  { name: 'score', dialect: 'openai', form: 'json', paths: ['/v1/score', '/score'] },
  { name: 'classify', dialect: 'openai', form: 'json', paths: ['/classify'] },
  { name: 'pooling', dialect: 'openai', form: 'json', paths: ['/pooling'] },
  { name: 'tokenize', dialect: 'openai', form: 'json', paths: ['/tokenize'] },
  { name: 'detokenize', dialect: 'openai', form: 'json', paths: ['/detokenize'] },
  { name: 'transcriptions', dialect: 'openai', form: 'multipart', paths: ['/v1/audio/transcriptions'] },
  { name: 'translations', dialect: 'openai', form: 'multipart', paths: ['/v1/audio/translations'] },
  { name: 'speech', dialect: 'openai', form: 'json', paths: ['/v1/audio/speech'] },
  { name: 'images', dialect: 'openai', form: 'json', paths: ['/v1/images/generations'] },
  { name: 'image-edits', dialect: 'openai', form: 'multipart', paths: ['/v1/images/edits'] },
  { name: 'generate', dialect: 'openai', form: 'json', paths: ['/generate', '/generate_stream'] },
  { name: 'realtime', dialect: 'openai', form: 'websocket', paths: ['/v1/realtime'] },
]

const byPath: ReadonlyMap<string, Api> = new Map(apis.flatMap((api) => api.paths.map((path) => [path, api] as const)))

/** The operation behind a path (no query), or undefined. */
export function apiOfPath(path: string): Api | undefined {
  return byPath.get(path)
}
