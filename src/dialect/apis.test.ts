import assert from 'node:assert/strict'
import { test } from 'node:test'
import { apiOfPath, apis } from './apis.ts'

test('a path leads to exactly one operation', () => {
  const paths = apis.flatMap((api) => api.paths)
  assert.equal(new Set(paths).size, paths.length)
  for (const api of apis) for (const path of api.paths) assert.equal(apiOfPath(path), api)
  assert.equal(new Set(apis.map(({ name }) => name)).size, apis.length)
})

test('every path of the HTTP surface is known', () => {
  const chat = ['/v1/chat/completions', '/v1/completions', '/v1/responses', '/v1/messages', '/v1/messages/count_tokens']
  const pooling = ['/v1/embeddings', '/v1/rerank', '/rerank', '/v1/score', '/score', '/classify', '/pooling']
  const media = [
    '/v1/audio/transcriptions',
    '/v1/audio/translations',
    '/v1/audio/speech',
    '/v1/images/edits',
    '/v1/images/generations',
  ]
  for (const path of [...chat, ...pooling, ...media, '/tokenize', '/detokenize', '/generate']) {
    assert.notEqual(apiOfPath(path), undefined, path)
  }
  for (const path of ['', '/', '/v1/models', '/v1/chat/completions/', 'constructor', '__proto__']) {
    assert.equal(apiOfPath(path), undefined, path)
  }
})
