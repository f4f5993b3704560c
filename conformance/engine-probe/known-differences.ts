import type { KnownDifference } from './compare.ts'

/** What the simulator does otherwise than the recorded vLLM, on purpose. */
const vllm: readonly KnownDifference[] = [
  {
    engine: 'vllm',
    questions: ['metrics before the first request', 'metrics'],
    lines: /^series vllm:cache_config_info\{/,
    reason:
      '`cache_config_info` has the same 37 labels, but `kv_cache_memory_bytes="None"`: the recorded engine has its cache size set in bytes, as on a CPU; on a GPU it follows from the memory.',
  },
  {
    engine: 'vllm',
    questions: ['metrics before the first request', 'metrics'],
    lines: /vllm:tool_call_parser_invocations/,
    reason: 'No `tool_call_parser_invocations`: the simulator calls tools without a parser.',
  },
  {
    engine: 'vllm',
    questions: ['server info'],
    lines: /^/,
    reason: 'No `/server_info` (development mode only; the recorded engine cannot answer it without pip).',
  },
  {
    engine: 'vllm',
    questions: ['embedding', 'score', 'rerank', 'classify', 'pooling', 'speech', 'image'],
    lines: /^/,
    reason: 'Embeddings, scores, audio and images are answered: one simulated server serves tests of all APIs at once.',
  },
  {
    engine: 'vllm',
    questions: ['metrics'],
    lines:
      /handler="\/(v1\/embeddings|v1\/score|v1\/rerank|classify|pooling|v1\/audio\/speech|v1\/images\/generations)"/,
    reason: 'So the HTTP metrics have their paths.',
  },
  {
    engine: 'vllm',
    questions: ['chat with a named tool', 'message with a named tool', 'tools left to the model'],
    lines: /tokens|input\.city|tool_calls|choices\[\]\.(message\.content|finish_reason)/,
    reason:
      'A tool is called, with arguments of its schema; the random model makes word salad where they belong, or no call.',
  },
  {
    engine: 'vllm',
    questions: ['chat with a schema', 'structured choice'],
    lines: /completion_tokens|finish_reason/,
    reason:
      'Structured output ends by itself; how many tokens it has depends on the tokenizer, and the random model may run into the limit.',
  },
]

/** What the simulator does otherwise than the recorded llama.cpp, on purpose. */
const llamacpp: readonly KnownDifference[] = [
  {
    engine: 'llamacpp',
    questions: [
      'chat with a named tool',
      'chat stream with a named tool',
      'chat that calls an unknown tool',
      'message with a named tool',
    ],
    lines: /^(body|event \d+)/,
    reason: 'A tool is called; the chat template of the recorded model knows no tools, so it goes on in plain text.',
  },
  {
    engine: 'llamacpp',
    questions: ['chat with a schema', 'max_tokens above the context'],
    lines: /completion_tokens/,
    reason: 'How many tokens a text has, and how many fit behind it, depends on the tokenizer.',
  },
  {
    engine: 'llamacpp',
    questions: ['busy slots'],
    lines: /ignore_eos/,
    reason: 'A slot shows the default sampling settings, not those of its request.',
  },
]

/** All differences that are meant. */
export const knownDifferences: readonly KnownDifference[] = [...vllm, ...llamacpp]
