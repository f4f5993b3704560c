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

const STREAM_TYPE = 'text/event-stream; charset=utf-8'

/** Chat completions as trtllm-serve answers them: chunks leave out what is null, whole answers do not. */
export const trtllmChat: Shape = {
  idPrefix: 'chatcmpl-',
  streamType: STREAM_TYPE,
  body: (job) => ({
    id: job.id,
    object: 'chat.completion',
    created: job.createdS,
    model: job.model.name,
    choices: job.choices.map(chatChoice),
    usage: usageWith(job, usageOf(job).outputTokens),
    prompt_token_ids: null,
    prompt_token_ids_b64: null,
  }),
  token(job, step) {
    const { choice, index, finish } = step
    // The blank after the first chunk is there in its source, too.
    const opening = index === 0 ? `data: ${JSON.stringify(chatChunk(job, [firstChoice(choice)], 0))} \n\n` : ''
    const body = {
      index: choice.index,
      delta: chatDelta(step),
      ...(finish === undefined ? {} : { finish_reason: finish }),
      avg_decoded_tokens_per_iter: 1,
    }
    return opening + dataEvent(chatChunk(job, [body], choice.ticket.produced))
  },
  closing(job) {
    if (job.streamUsage === 'none') return 'data: [DONE]\n\n'
    const { id, createdS, model } = job
    const head = { id, object: 'chat.completion.chunk', created: createdS, model: model.name, choices: [] }
    return `${dataEvent({ ...head, usage: usageWith(job, usageOf(job).outputTokens) })}data: [DONE]\n\n`
  },
}

/** Text completions as trtllm-serve answers them. */
export const trtllmCompletions: Shape = {
  idPrefix: 'cmpl-',
  streamType: STREAM_TYPE,
  body: (job) => ({
    ...completionHead(job),
    choices: job.choices.map((choice) => ({
      index: choice.index,
      text: choiceText(choice),
      token_ids: null,
      logprobs: null,
      context_logits: null,
      finish_reason: choice.answer.finish,
      stop_reason: null,
      disaggregated_params: null,
      avg_decoded_tokens_per_iter: 1,
    })),
    usage: usageWith(job, usageOf(job).outputTokens),
    prompt_token_ids: null,
  }),
  token(job, { choice, piece, finish }) {
    const body = {
      index: choice.index,
      text: piece,
      token_ids: null,
      logprobs: null,
      finish_reason: finish ?? null,
      stop_reason: null,
      avg_decoded_tokens_per_iter: 1,
    }
    const usage = job.streamUsage === 'continuous' ? usageWith(job, choice.ticket.produced) : null
    return dataEvent({ ...completionHead(job), choices: [body], usage })
  },
  closing(job) {
    if (job.streamUsage === 'none') return 'data: [DONE]\n\n'
    const last = { ...completionHead(job), choices: [], usage: usageWith(job, usageOf(job).outputTokens) }
    return `${dataEvent(last)}data: [DONE]\n\n`
  },
}

function completionHead(job: Job): Readonly<Record<string, unknown>> {
  return { id: job.id, object: 'text_completion', created: job.createdS, model: job.model.name }
}

function chatChoice(choice: Choice): unknown {
  const { index, answer, toolCallId } = choice
  const { tool } = answer
  const call = tool && { name: tool.name, arguments: choiceArguments(choice) }
  return {
    index,
    message: {
      role: 'assistant',
      content: tool === undefined ? choiceText(choice) : '',
      reasoning_content: '',
      reasoning: null,
      tool_calls: call === undefined ? [] : [{ id: toolCallId, type: 'function', function: call }],
    },
    logprobs: null,
    finish_reason: answer.finish,
    stop_reason: null,
    mm_embedding_handle: null,
    disaggregated_params: null,
    avg_decoded_tokens_per_iter: 1,
  }
}

function firstChoice({ index }: Choice): unknown {
  return { index, delta: { role: 'assistant' } }
}

function chatDelta({ choice, index, piece }: TokenStep): unknown {
  const { tool } = choice.answer
  if (tool === undefined) return { content: piece, reasoning_content: '' }
  const start = { id: choice.toolCallId, type: 'function', index: 0, function: { name: tool.name, arguments: '' } }
  const more = { type: 'function', index: 0, function: { arguments: piece } }
  return { content: '', reasoning_content: '', tool_calls: [index === 0 ? start : more] }
}

function chatChunk(job: Job, choices: readonly unknown[], produced: number): unknown {
  const usage = job.streamUsage === 'continuous' ? { usage: usageWith(job, produced) } : {}
  const { id, createdS, model } = job
  return { id, object: 'chat.completion.chunk', created: createdS, model: model.name, choices, ...usage }
}

function usageWith(job: Job, outputTokens: number): unknown {
  const { promptTokens, cachedTokens } = usageOf(job)
  return {
    prompt_tokens: promptTokens,
    total_tokens: promptTokens + outputTokens,
    completion_tokens: outputTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
  }
}
