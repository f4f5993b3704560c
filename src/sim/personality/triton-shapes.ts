import {
  type Choice,
  choiceArguments,
  choiceText,
  dataEvent,
  type Job,
  type Shape,
  type TokenStep,
} from '#sim/api/generation.ts'

const STREAM_TYPE = 'text/event-stream; charset=utf-8'

/**
 * Chat completions as Triton's OpenAI front end answers them over the TensorRT-LLM backend: no usage, and whatever ended the
 * answer is called a stop.
 */
export const tritonChat: Shape = {
  idPrefix: 'cmpl-',
  streamType: STREAM_TYPE,
  body: (job) => ({
    id: job.id,
    choices: job.choices.map((choice) => ({
      finish_reason: reasonOf(choice),
      index: choice.index,
      message: chatMessage(choice, job.id),
      logprobs: null,
    })),
    created: job.createdS,
    model: job.model.name,
    system_fingerprint: null,
    object: 'chat.completion',
    usage: null,
  }),
  token(job, step) {
    const { choice, index, finish } = step
    const chunk = (delta: unknown, reason: string | null) =>
      dataEvent({
        id: job.id,
        choices: [{ delta, logprobs: null, finish_reason: reason, index: choice.index }],
        created: job.createdS,
        model: job.model.name,
        system_fingerprint: null,
        object: 'chat.completion.chunk',
        usage: null,
      })
    const opening = index === 0 ? chunk({ content: '', function_call: null, role: 'assistant' }, null) : ''
    return opening + chunk(chatDelta(job, step), finish === undefined ? null : reasonOf(choice))
  },
  closing: () => 'data: [DONE]\n\n',
}

/** Text completions as Triton's OpenAI front end answers them. */
export const tritonCompletions: Shape = {
  idPrefix: 'cmpl-',
  streamType: STREAM_TYPE,
  body: (job) => ({
    ...completionHead(
      job,
      job.choices.map((choice) => completionChoice(choice, choiceText(choice), 'stop')),
    ),
    usage: null,
  }),
  token: (job, { choice, piece, finish }) =>
    dataEvent(completionHead(job, [completionChoice(choice, piece, finish === undefined ? null : 'stop')])),
  closing: () => 'data: [DONE]\n\n',
}

/** `/v2/models/{model}/generate` and `generate_stream` of an ensemble with the TensorRT-LLM backend: one event for each token. */
export const tritonGenerate: Shape = {
  idPrefix: '',
  streamType: STREAM_TYPE,
  body: (job) => generated(job, job.choices.map(choiceText).join('')),
  token: (job, { piece }) => dataEvent(generated(job, piece)),
  closing: () => '',
}

function generated(job: Job, text: string): unknown {
  return {
    context_logits: 0,
    cum_log_probs: 0,
    generation_logits: 0,
    model_name: job.model.name,
    model_version: '1',
    output_log_probs: [0],
    sequence_end: false,
    sequence_id: 0,
    sequence_index: 0,
    sequence_start: false,
    text_output: text,
  }
}

function reasonOf({ answer }: Choice): string {
  return answer.tool === undefined ? 'stop' : 'tool_calls'
}

function chatMessage(choice: Choice, id: string): unknown {
  const { tool } = choice.answer
  if (tool === undefined)
    return { content: choiceText(choice), tool_calls: null, role: 'assistant', function_call: null }
  const call = { id, type: 'function', function: { name: tool.name, arguments: choiceArguments(choice) } }
  return { content: '', tool_calls: [call], role: 'assistant', function_call: null }
}

function chatDelta(job: Job, { choice, index, piece }: TokenStep): unknown {
  const { tool } = choice.answer
  if (tool === undefined) return { content: piece, function_call: null, role: null }
  // A call that the request named has neither id nor type in the front end's source.
  if (typeof job.body['tool_choice'] === 'object')
    return { tool_calls: [{ index: 0, function: { name: tool.name, arguments: piece } }] }
  const start = { index: 0, id: choice.toolCallId, type: 'function', function: { name: tool.name } }
  return { tool_calls: [index === 0 ? start : { index: 0, function: { arguments: piece } }] }
}

function completionHead(job: Job, choices: readonly unknown[]): Readonly<Record<string, unknown>> {
  return {
    id: job.id,
    choices,
    created: job.createdS,
    model: job.model.name,
    system_fingerprint: null,
    object: 'text_completion',
  }
}

function completionChoice({ index }: Choice, text: string, reason: string | null): unknown {
  return { finish_reason: reason, index, logprobs: null, text }
}
