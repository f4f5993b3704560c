import { chat, completion, messages, model, posted, type Question, single } from './question.ts'

const hello = [{ role: 'user', content: 'hello' }]

const chatPath = '/v1/chat/completions'
const completionsPath = '/v1/completions'

const tools = [
  {
    type: 'function',
    function: {
      name: 'weather',
      description: 'Weather of a city',
      parameters: { type: 'object', properties: { city: { type: 'string', enum: ['Rome'] } }, required: ['city'] },
    },
  },
]

const usageOptions = { stream: true, stream_options: { include_usage: true } }
const continuousOptions = { stream: true, stream_options: { include_usage: true, continuous_usage_stats: true } }

/** Far more tokens than the 8,192 (or 4,096) of the engines that are asked. */
const longText = 'word '.repeat(9000)

const chatQuestions: readonly Question[] = [
  posted('chat', chatPath, chat()),
  posted('chat by max_completion_tokens', chatPath, chat({ max_tokens: undefined, max_completion_tokens: 3 })),
  posted('chat without a model', chatPath, chat({ model: undefined })),
  posted('chat with parts', chatPath, chat({ messages: [{ role: 'user', content: [{ type: 'text', text: 'hi' }] }] })),
  posted(
    'chat of a conversation',
    chatPath,
    chat({
      messages: [
        { role: 'system', content: 'Be brief.' },
        ...messages,
        { role: 'assistant', content: 'No.' },
        ...messages,
      ],
    }),
  ),
  posted('chat, two answers', chatPath, chat({ n: 2, temperature: 1 })),
  posted('chat with log probabilities', chatPath, chat({ logprobs: true, top_logprobs: 2, max_tokens: 3 })),
  posted('chat stream', chatPath, chat({ stream: true })),
  posted('chat stream with usage', chatPath, chat(usageOptions)),
  posted('chat stream with usage all along', chatPath, chat(continuousOptions)),
  posted('chat stream with log probabilities', chatPath, chat({ stream: true, logprobs: true, top_logprobs: 2 })),
  posted(
    'chat with a named tool',
    chatPath,
    chat({
      messages: hello,
      tools,
      tool_choice: { type: 'function', function: { name: 'weather' } },
      ignore_eos: false,
      max_tokens: 200,
    }),
  ),
  posted(
    'chat stream with a named tool',
    chatPath,
    chat({
      messages: hello,
      tools,
      tool_choice: { type: 'function', function: { name: 'weather' } },
      ignore_eos: false,
      max_tokens: 200,
      stream: true,
    }),
  ),
  posted('chat with tools, none chosen', chatPath, chat({ tools, tool_choice: 'none' })),
  posted(
    'chat that calls an unknown tool',
    chatPath,
    chat({ tools, tool_choice: { type: 'function', function: { name: 'nope' } } }),
  ),
  ofAnyLength(
    'chat with a schema',
    chatPath,
    chat({
      ignore_eos: false,
      max_tokens: 200,
      response_format: {
        type: 'json_schema',
        json_schema: {
          name: 'answer',
          schema: {
            type: 'object',
            properties: { colour: { type: 'string', enum: ['red', 'blue'] } },
            required: ['colour'],
            additionalProperties: false,
          },
        },
      },
    }),
  ),
]

const completionQuestions: readonly Question[] = [
  posted('completion', completionsPath, completion()),
  posted('completion of token ids', completionsPath, completion({ prompt: [300, 301, 302, 303] })),
  posted('completions of two prompts', completionsPath, completion({ prompt: ['one', 'two'] })),
  posted('completion, two answers', completionsPath, completion({ n: 2, temperature: 1 })),
  posted('completion with echo', completionsPath, completion({ echo: true, max_tokens: 3 })),
  posted('completion with log probabilities', completionsPath, completion({ logprobs: 2, max_tokens: 3 })),
  posted('completion stream', completionsPath, completion({ stream: true })),
  posted('completion stream with usage', completionsPath, completion(usageOptions)),
  posted('completion stream with usage all along', completionsPath, completion(continuousOptions)),
]

const limitQuestions: readonly Question[] = [
  posted('max_tokens 0', chatPath, chat({ max_tokens: 0 })),
  posted('max_tokens 0, completion', completionsPath, completion({ max_tokens: 0 })),
  posted('max_tokens negative', chatPath, chat({ max_tokens: -2 })),
  posted('max_tokens negative, completion', completionsPath, completion({ max_tokens: -2 })),
  posted('max_tokens above the context', chatPath, chat({ max_tokens: 100_000 })),
  posted('prompt above the context', chatPath, chat({ messages: [{ role: 'user', content: longText }] })),
  posted(
    'prompt above the context, stream',
    chatPath,
    chat({ messages: [{ role: 'user', content: longText }], stream: true }),
  ),
  posted('prompt above the context, completion', completionsPath, completion({ prompt: longText })),
  posted('huge body', chatPath, chat({ messages: [{ role: 'user', content: 'word '.repeat(400_000) }] })),
]

const refusalQuestions: readonly Question[] = [
  posted('unknown model', chatPath, chat({ model: 'nope' })),
  posted('unknown model, completion', completionsPath, completion({ model: 'nope' })),
  posted('empty object', chatPath, {}),
  posted('no messages', chatPath, { model }),
  posted('empty messages', chatPath, chat({ messages: [] })),
  posted('messages of a wrong type', chatPath, chat({ messages: 'hello' })),
  posted('message without a role', chatPath, chat({ messages: [{ content: 'hello' }] })),
  posted('message of an unknown role', chatPath, chat({ messages: [{ role: 'narrator', content: 'hello' }] })),
  posted('no prompt', completionsPath, { model }),
  posted('temperature of a wrong type', chatPath, chat({ temperature: 'hot' })),
  posted('temperature out of range', chatPath, chat({ temperature: -5 })),
  posted('top_p out of range', chatPath, chat({ top_p: 7 })),
  posted('n of 0', chatPath, chat({ n: 0 })),
  posted('stream of a wrong type', chatPath, chat({ stream: 'maybe' })),
  posted('stream_options without stream', chatPath, chat({ stream_options: { include_usage: true } })),
  posted('body that is a list', chatPath, []),
  single('broken JSON', { method: 'POST', path: chatPath, raw: '{not json' }),
  single('cut JSON', { method: 'POST', path: chatPath, raw: '{"model": "tiny", "messages": [' }),
  single('empty body', { method: 'POST', path: chatPath, raw: '' }),
  single('wrong content type', {
    method: 'POST',
    path: chatPath,
    raw: 'a=b',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  }),
  single('text content type', {
    method: 'POST',
    path: chatPath,
    raw: JSON.stringify(chat()),
    headers: { 'content-type': 'text/plain' },
  }),
  single('wrong method', { method: 'GET', path: chatPath }),
  single('unknown route', { method: 'GET', path: '/v1/nothing' }),
  single('unknown route by POST', { method: 'POST', path: '/v1/nothing', body: {} }),
]

/** Questions of the OpenAI API proper: chat, completions, limits, refusals. */
/** A posted question whose answer ends where the model likes: how many tokens it has says nothing of the engine. */
function ofAnyLength(name: string, path: string, body: unknown): Question {
  const question = posted(name, path, body)
  const masked = (line: string): string => line.replace(/_tokens = \d+$/, '_tokens number')
  return { name, ask: async (engine) => (await question.ask(engine)).map(masked) }
}

export const openaiQuestions: readonly Question[] = [
  ...chatQuestions,
  ...completionQuestions,
  ...limitQuestions,
  ...refusalQuestions,
]

const anthropicTools = [
  {
    name: 'weather',
    description: 'Weather of a city',
    input_schema: { type: 'object', properties: { city: { type: 'string', enum: ['Rome'] } }, required: ['city'] },
  },
]

/** Questions of the Anthropic API and of the Responses API. */
export const otherApiQuestions: readonly Question[] = [
  posted('message', '/v1/messages', { model, max_tokens: 4, messages: hello }),
  posted('message with a system text', '/v1/messages', { model, max_tokens: 4, messages: hello, system: 'Be brief.' }),
  posted('message stream', '/v1/messages', { model, max_tokens: 24, stream: true, messages: hello }),
  posted('message with a named tool', '/v1/messages', {
    model,
    max_tokens: 200,
    messages: hello,
    tools: anthropicTools,
    tool_choice: { type: 'tool', name: 'weather' },
  }),
  posted('message of an unknown model', '/v1/messages', { model: 'nope', max_tokens: 4, messages: hello }),
  posted('message without messages', '/v1/messages', { model, max_tokens: 4 }),
  posted('message above the context', '/v1/messages', {
    model,
    max_tokens: 4,
    messages: [{ role: 'user', content: longText }],
  }),
  single('message of broken JSON', { method: 'POST', path: '/v1/messages', raw: '{' }),
  posted('count of tokens', '/v1/messages/count_tokens', { model, messages: hello }),
  posted('count of tokens of an unknown model', '/v1/messages/count_tokens', { model: 'nope', messages: hello }),
  posted('response', '/v1/responses', { model, input: 'hello', max_output_tokens: 4 }),
  posted('response to a conversation', '/v1/responses', {
    model,
    instructions: 'Be brief.',
    input: hello,
    max_output_tokens: 4,
  }),
  posted('response stream', '/v1/responses', { model, input: 'hello', max_output_tokens: 24, stream: true }),
  posted('response of an unknown model', '/v1/responses', { model: 'nope', input: 'hello', max_output_tokens: 4 }),
  posted('response without input', '/v1/responses', { model }),
  posted('embedding', '/v1/embeddings', { model, input: 'hello' }),
]
