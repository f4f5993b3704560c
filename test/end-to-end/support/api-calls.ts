/** A path of the gateway and the least that its engine asks for beside the model. */
export interface ApiCall {
  readonly path: string
  /** The engine whose simulation serves it. */
  readonly engine: 'vllm' | 'sglang'
  /** Members of a JSON body, without the model; undefined for forms. */
  readonly fields?: string
  /** Name of the file field of a form. */
  readonly file?: string
}

const hello =
  '"messages":[{"role":"user","content":"h\\u00e9llo \\ud83d\\ude00 \u26a1 \\"model\\":\\"no\\""}],"max_tokens":3'

/** Every path that takes a model, as the README promises them. */
export const apiCalls: readonly ApiCall[] = [
  { path: '/v1/chat/completions', engine: 'vllm', fields: hello },
  { path: '/v1/completions', engine: 'vllm', fields: '"prompt":"Once \\u0075pon","max_tokens":3' },
  { path: '/v1/responses', engine: 'vllm', fields: '"input":"Once","max_output_tokens":3' },
  { path: '/v1/messages', engine: 'vllm', fields: hello },
  { path: '/v1/messages/count_tokens', engine: 'vllm', fields: hello },
  { path: '/v1/embeddings', engine: 'vllm', fields: '"input":["one","two"]' },
  { path: '/v1/rerank', engine: 'vllm', fields: '"query":"one","documents":["two","three"]' },
  { path: '/rerank', engine: 'vllm', fields: '"query":"one","documents":["two","three"]' },
  { path: '/v1/score', engine: 'vllm', fields: '"text_1":"one","text_2":["two"]' },
  { path: '/score', engine: 'vllm', fields: '"text_1":"one","text_2":["two"]' },
  { path: '/classify', engine: 'vllm', fields: '"input":"one"' },
  { path: '/pooling', engine: 'vllm', fields: '"input":"one"' },
  { path: '/tokenize', engine: 'vllm', fields: '"prompt":"one two"' },
  { path: '/detokenize', engine: 'vllm', fields: '"tokens":[1,2,3]' },
  { path: '/v1/audio/transcriptions', engine: 'vllm', file: 'file' },
  { path: '/v1/audio/translations', engine: 'vllm', file: 'file' },
  { path: '/v1/images/edits', engine: 'vllm', file: 'image' },
  { path: '/v1/audio/speech', engine: 'vllm', fields: '"input":"Good morning","voice":"alloy"' },
  { path: '/v1/images/generations', engine: 'vllm', fields: '"prompt":"a dot"' },
  { path: '/generate', engine: 'sglang', fields: '"text":"one","sampling_params":{"max_new_tokens":3}' },
]

const boundary = 'x-9f8-boundary'

/** Content type of `formBody`. */
export const formType = `multipart/form-data; boundary=${boundary}`

/** A form with a file full of what looks like form syntax, and the model behind it. */
export function formBody(file: string, model: string): Buffer {
  const head = (disposition: string): string => `--${boundary}\r\nContent-Disposition: form-data; ${disposition}\r\n`
  const nasty = `\r\n--${boundary.slice(0, -1)}\r\nname="model"\r\n\r\ndecoy\r\n--\u0000\r\n`
  return Buffer.concat([
    Buffer.from(`${head('name="note"')}\r\n\u00e9 \r\n model=no\r\n`),
    Buffer.from(`${head(`name="${file}"; filename="a \\"b\\".wav"`)}Content-Type: audio/wav\r\n\r\n`),
    Buffer.from(nasty),
    Buffer.from(Array.from({ length: 512 }, (_, i) => i & 255)),
    Buffer.from(`\r\n${head('name="model"')}\r\n${model}\r\n`),
    Buffer.from(`${head('name="prompt"')}Content-Type: text/plain\r\n\r\nred\r\n--${boundary}--\r\n`),
  ])
}
