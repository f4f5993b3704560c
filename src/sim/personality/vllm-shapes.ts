import {
  type Choice,
  choiceArguments,
  choiceText,
  dataEvent,
  type Job,
  type Shape,
  type TokenStep,
  usageOf,
} from '#sim/api/generation.ts'

const FINGERPRINT = 'vllm-0.32.0-17878b6d'
const STREAM_TYPE = 'text/event-stream; charset=utf-8'

/** Chat completions as vLLM 0.32 answers them, field by field in its order. */
export const vllmChat: Shape = {
  idPrefix: 'chatcmpl-',
  streamType: STREAM_TYPE,
  body: (job) => ({
    id: job.id,
    object: 'chat.completion',
    created: job.createdS,
    model: job.model.name,
    choices: job.choices.map(chatChoice),
    service_tier: null,
    system_fingerprint: FINGERPRINT,
    usage: { ...finalUsage(job, createdTokens(job), { multimodal_tokens: null }), completion_tokens_details: null },
    prompt_logprobs: null,
    prompt_token_ids: null,
    prompt_text: null,
    kv_transfer_params: null,
    ec_transfer_params: null,
    metrics: null,
  }),
  token(job, step) {
    const { choice, index } = step
    const opening = index === 0 ? chatChunk(job, openingDelta(choice), OPENING_TAIL, 0) : ''
    const delta = chatDelta(step)
    const tail =
      step.finish === undefined
        ? TOKEN_TAIL
        : `"logprobs":null,"finish_reason":"${step.finish}","stop_reason":null,"token_ids":null}]`
    return opening + chatChunk(job, `{"index":${choice.index},"delta":${delta},`, tail, choice.ticket.produced)
  },
  closing: (job) => usageChunk(job, 'chat.completion.chunk', createdTokens(job)),
}

/** Text completions as vLLM 0.32 answers them. */
export const vllmCompletions: Shape = {
  idPrefix: 'cmpl-',
  streamType: STREAM_TYPE,
  body: (job) => ({
    id: job.id,
    object: 'text_completion',
    created: job.createdS,
    model: job.model.name,
    choices: job.choices.map((choice) => ({
      index: choice.index,
      text: choiceText(choice),
      logprobs: null,
      finish_reason: choice.answer.finish,
      stop_reason: null,
      token_ids: null,
      prompt_logprobs: null,
      prompt_token_ids: null,
    })),
    service_tier: null,
    system_fingerprint: FINGERPRINT,
    usage: {
      ...finalUsage(job, null, { created_cache_tokens: null, multimodal_tokens: null }),
      completion_tokens_details: null,
    },
    kv_transfer_params: null,
    ec_transfer_params: null,
  }),
  token(job, { choice, piece, finish }) {
    const reason = finish === undefined ? 'null' : `"${finish}"`
    const usage = job.streamUsage === 'continuous' ? `,"usage":${runningUsage(job, choice.ticket.produced)}` : ''
    return `data: {"id":"${job.id}","object":"text_completion","created":${job.createdS},"model":${JSON.stringify(job.model.name)},"choices":[{"index":${choice.index},"text":${JSON.stringify(piece)},"logprobs":null,"finish_reason":${reason},"stop_reason":null,"prompt_token_ids":null,"token_ids":null}]${usage}}\n\n`
  },
  closing: (job) => usageChunk(job, 'text_completion', null),
}

const OPENING_TAIL = '"logprobs":null,"finish_reason":null}],"prompt_token_ids":null,"prompt_text":null'
const TOKEN_TAIL = '"logprobs":null,"finish_reason":null,"token_ids":null}]'

function chatChoice(choice: Choice): unknown {
  const { index, answer, toolCallId } = choice
  const { tool } = answer
  const call = tool && { name: tool.name, arguments: choiceArguments(choice) }
  return {
    index,
    message: {
      role: 'assistant',
      content: tool === undefined ? choiceText(choice) : null,
      refusal: null,
      annotations: null,
      audio: null,
      function_call: null,
      ...(call === undefined ? {} : { tool_calls: [{ id: toolCallId, type: 'function', function: call }] }),
      reasoning: null,
    },
    logprobs: null,
    finish_reason: answer.finish,
    stop_reason: null,
    token_ids: null,
    routed_experts: null,
  }
}

function openingDelta(choice: Choice): string {
  return `{"index":${choice.index},"delta":{"role":"assistant","content":""},`
}

function chatDelta({ choice, index, piece }: TokenStep): string {
  const { tool } = choice.answer
  if (tool === undefined) return `{"content":${JSON.stringify(piece)}}`
  const head = { id: choice.toolCallId, type: 'function', index: 0, function: { name: tool.name, arguments: '' } }
  return JSON.stringify({ tool_calls: [index === 0 ? head : { index: 0, function: { arguments: piece } }] })
}

/** Written by hand: at thousands of chunks a second, building objects to serialise them would cost most of the time. */
function chatChunk(job: Job, choiceStart: string, tail: string, produced: number): string {
  const usage = job.streamUsage === 'continuous' ? `,"usage":${runningUsage(job, produced)}` : ''
  return `data: {"id":"${job.id}","object":"chat.completion.chunk","created":${job.createdS},"model":${JSON.stringify(job.model.name)},"choices":[${choiceStart}${tail}${usage}}\n\n`
}

function runningUsage(job: Job, produced: number): string {
  const prompt = job.promptTokens
  return `{"prompt_tokens":${prompt},"total_tokens":${prompt + produced},"completion_tokens":${produced},"completion_tokens_details":null}`
}

function usageChunk(job: Job, object: string, created: number | null): string {
  if (job.streamUsage === 'none') return 'data: [DONE]\n\n'
  const last = dataEvent({
    id: job.id,
    object,
    created: job.createdS,
    model: job.model.name,
    choices: [],
    usage: finalUsage(job, created, {}),
    system_fingerprint: FINGERPRINT,
  })
  return `${last}data: [DONE]\n\n`
}

/** Prompt tokens whose blocks were not cached before and are now. */
function createdTokens(job: Job): number {
  return job.choices.reduce((sum, { ticket }) => sum + ticket.newlyCachedTokens, 0)
}

function finalUsage(job: Job, created: number | null, more: Record<string, unknown>): Record<string, unknown> {
  const { promptTokens, outputTokens, cachedTokens } = usageOf(job)
  return {
    prompt_tokens: promptTokens,
    total_tokens: promptTokens + outputTokens,
    completion_tokens: outputTokens,
    prompt_tokens_details: {
      cached_tokens: cachedTokens,
      ...(created === null ? {} : { created_cache_tokens: created }),
      ...more,
    },
  }
}
