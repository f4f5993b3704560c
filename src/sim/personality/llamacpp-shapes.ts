import { answerText } from '#sim/answer.ts'
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
import type { Ticket } from '#sim/live-ticket.ts'
import { generationSettings } from './llamacpp-info.ts'
import { llamacppLogprobs } from './llamacpp-logprobs.ts'

const STREAM_TYPE = 'text/event-stream'
/** On every stream of llama.cpp, so that proxies pass it on at once. */
export const UNBUFFERED = { 'x-accel-buffering': 'no' }
const FINGERPRINT = 'b0-unknown'

/** Chat completions as llama.cpp's server answers them; the end comes in a chunk of its own, with the timings. */
export const llamacppChat: Shape = {
  idPrefix: 'chatcmpl-',
  streamType: STREAM_TYPE,
  streamHeaders: UNBUFFERED,
  body: (job) => ({
    choices: job.choices.map((choice) => ({
      finish_reason: choice.answer.finish,
      index: choice.index,
      message: chatMessage(choice),
      ...llamacppLogprobs(job.body, choice, 0, choice.answer.tokens),
    })),
    ...tail(job, 'chat.completion', usage(job)),
  }),
  token(job, step) {
    const { choice, index, finish } = step
    const chunk = (delta: unknown, more: Readonly<Record<string, unknown>>, reason: string | null) =>
      chatChunk(job, [{ finish_reason: reason, index: choice.index, delta, ...more }])
    const opening = index === 0 ? dataEvent(chunk({ role: 'assistant', content: null }, {}, null)) : ''
    const logprobs = llamacppLogprobs(job.body, choice, index, step.count)
    const piece = dataEvent(chunk(chatDelta(step), logprobs, null))
    if (finish === undefined) return opening + piece
    const timed = job.streamUsage === 'none' ? { timings: timings(choice.ticket) } : {}
    return opening + piece + dataEvent({ ...chunk({}, {}, finish), ...timed })
  },
  closing(job) {
    if (job.streamUsage === 'none') return DONE
    return dataEvent({ ...chatChunk(job, []), usage: usage(job), timings: timings(job.choices[0]?.ticket) }) + DONE
  },
}

/** Text completions; usage and timings stand in the last chunk whether they were asked for or not. */
export const llamacppCompletions: Shape = {
  idPrefix: 'chatcmpl-',
  streamType: STREAM_TYPE,
  streamHeaders: UNBUFFERED,
  body: (job) => ({
    choices: job.choices.map((choice) =>
      textChoice(
        choice,
        choiceText(choice),
        choice.answer.finish,
        llamacppLogprobs(job.body, choice, 0, choice.answer.tokens),
      ),
    ),
    ...tail(job, 'text_completion', usage(job)),
  }),
  token(job, { choice, index, count, piece, finish }) {
    const logprobs = llamacppLogprobs(job.body, choice, index, count)
    const { created, model, system_fingerprint, object, id } = head(job, 'text_completion')
    const chunk = (choices: unknown) => ({ choices, created, model, system_fingerprint, object })
    const text = dataEvent({ ...chunk([textChoice(choice, piece, null, logprobs)]), id })
    if (finish === undefined) return text
    const last = { ...chunk([textChoice(choice, '', finish, {})]), usage: usageOfTicket(choice.ticket), id }
    return text + dataEvent({ ...last, timings: timings(choice.ticket) })
  },
  closing: () => DONE,
}

/** The native `/completion`. */
export const llamacppNative: Shape = {
  idPrefix: '',
  streamType: STREAM_TYPE,
  streamHeaders: UNBUFFERED,
  body: (job) => nativeEnd(job, job.choices[0], job.choices.map(choiceText).join('')),
  token(job, { choice, piece, finish }) {
    const { ticket, index } = choice
    const slot = {
      stop: false,
      id_slot: 0,
      tokens_predicted: ticket.produced,
      tokens_evaluated: promptTokensOf(ticket),
    }
    const part = dataEvent({ index, content: piece, tokens: [0], ...slot })
    return finish === undefined ? part : part + dataEvent(nativeEnd(job, choice, ''))
  },
  closing: () => '',
}

/** Anthropic messages as llama.cpp's server answers them. */
export const llamacppMessages: Shape = {
  idPrefix: 'chatcmpl-',
  streamType: STREAM_TYPE,
  streamHeaders: UNBUFFERED,
  body(job) {
    const choice = job.choices[0]
    return {
      ...messageHead(job),
      content: choice === undefined ? [] : [messageBlock(choice)],
      model: job.model.name,
      stop_reason: choice === undefined ? null : STOP_REASONS[choice.answer.finish],
      stop_sequence: null,
      usage: messageUsage(job, usageOf(job).outputTokens),
    }
  },
  token(job, { choice, index, piece, finish }) {
    const { tool } = choice.answer
    const start = index === 0 ? messageStart(job, choice) : ''
    const delta =
      tool === undefined ? { type: 'text_delta', text: piece } : { type: 'input_json_delta', partial_json: piece }
    const block = tool !== undefined && piece === '' ? '' : namedEvent('content_block_delta', { index: 0, delta })
    if (finish === undefined) return start + block
    return (
      start +
      block +
      namedEvent('content_block_stop', { index: 0 }) +
      namedEvent('message_delta', {
        delta: { stop_reason: STOP_REASONS[finish], stop_sequence: null },
        usage: { output_tokens: choice.ticket.produced },
      }) +
      namedEvent('message_stop', {})
    )
  },
  closing: () => '',
}

const DONE = 'data: [DONE]\n\n'
const STOP_REASONS = { stop: 'end_turn', length: 'max_tokens', tool_calls: 'tool_use' } as const

/** An event with a name, its type as the first field of the data. */
export function namedEvent(type: string, fields: Readonly<Record<string, unknown>>): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`
}

/** Tokens and times of one answer; without a ticket, of none. */
export function timings(ticket: Ticket | undefined): unknown {
  const cached = ticket?.cachedTokens ?? 0
  const promptN = ticket === undefined ? 0 : promptTokensOf(ticket) - cached
  const promptMs = ticket === undefined ? 0 : ticket.firstTokenMs - ticket.admittedMs
  const predictedN = ticket?.produced ?? 0
  const predictedMs = ticket === undefined ? 0 : ticket.lastTokenMs - ticket.firstTokenMs
  return {
    cache_n: cached,
    prompt_n: promptN,
    prompt_ms: promptMs,
    prompt_per_token_ms: promptN === 0 ? 0 : promptMs / promptN,
    prompt_per_second: promptMs === 0 ? 0 : (promptN / promptMs) * 1000,
    predicted_n: predictedN,
    predicted_ms: predictedMs,
    predicted_per_token_ms: predictedN === 0 ? 0 : predictedMs / predictedN,
    predicted_per_second: predictedMs === 0 ? 0 : (predictedN / predictedMs) * 1000,
  }
}

function promptTokensOf({ work }: Ticket): number {
  return work.promptTokens.length
}

function head(job: Job, object: string) {
  return { created: job.createdS, model: job.model.name, system_fingerprint: FINGERPRINT, object, id: job.id }
}

/** What stands behind the choices of a whole answer. */
function tail(job: Job, object: string, used: unknown): Readonly<Record<string, unknown>> {
  const { created, model, system_fingerprint, id } = head(job, object)
  return { created, model, system_fingerprint, object, usage: used, id, timings: timings(job.choices[0]?.ticket) }
}

function chatChunk(job: Job, choices: readonly unknown[]): Readonly<Record<string, unknown>> {
  const { created, id, model, system_fingerprint, object } = head(job, 'chat.completion.chunk')
  return { choices, created, id, model, system_fingerprint, object }
}

/** Only the first answer of several is counted. */
function usage(job: Job): unknown {
  return usageOfTicket(job.choices[0]?.ticket)
}

function usageOfTicket(ticket: Ticket | undefined): unknown {
  const prompt = ticket === undefined ? 0 : promptTokensOf(ticket)
  const produced = ticket?.produced ?? 0
  return {
    completion_tokens: produced,
    prompt_tokens: prompt,
    total_tokens: prompt + produced,
    prompt_tokens_details: { cached_tokens: ticket?.cachedTokens ?? 0 },
  }
}

function chatMessage(choice: Choice): unknown {
  const { tool } = choice.answer
  if (tool === undefined) return { role: 'assistant', content: choiceText(choice) }
  const call = { name: tool.name, arguments: choiceArguments(choice) }
  return { role: 'assistant', content: '', tool_calls: [{ type: 'function', function: call, id: callId(choice) }] }
}

function callId({ toolCallId }: Choice): string {
  return toolCallId.replace('chatcmpl-tool-', '')
}

function chatDelta({ choice, index, piece }: TokenStep): unknown {
  const { tool } = choice.answer
  if (tool === undefined) return { content: piece }
  const start = { index: 0, id: callId(choice), type: 'function', function: { name: tool.name, arguments: '' } }
  return { tool_calls: [index === 0 ? start : { index: 0, function: { arguments: piece } }] }
}

function textChoice(
  { index }: Choice,
  text: string,
  finish_reason: string | null,
  logprobs: Readonly<Record<string, unknown>>,
): unknown {
  return { text, index, logprobs: null, ...logprobs, finish_reason }
}

function nativeEnd(job: Job, choice: Choice | undefined, content: string): unknown {
  const ticket = choice?.ticket
  const prompt = job.body['prompt']
  return {
    index: 0,
    content,
    tokens: [],
    id_slot: 0,
    stop: true,
    model: job.model.name,
    tokens_predicted: ticket?.produced ?? 0,
    tokens_evaluated: job.promptTokens,
    generation_settings: generationSettings(job.body),
    prompt: typeof prompt === 'string' ? prompt : '',
    has_new_line: choice !== undefined && answerText(choice.answer).includes('\n'),
    truncated: false,
    stop_type: choice?.answer.finish === 'length' ? 'limit' : 'eos',
    stopping_word: '',
    tokens_cached: job.promptTokens + (ticket?.produced ?? 1) - 1,
    timings: timings(ticket),
  }
}

function messageHead(job: Job): Readonly<Record<string, unknown>> {
  return { id: job.id, type: 'message', role: 'assistant' }
}

function messageUsage(job: Job, outputTokens: number): unknown {
  const { promptTokens, cachedTokens } = usageOf(job)
  return {
    cache_read_input_tokens: cachedTokens,
    input_tokens: promptTokens - cachedTokens,
    output_tokens: outputTokens,
  }
}

function messageBlock(choice: Choice): unknown {
  const { tool } = choice.answer
  if (tool === undefined) return { type: 'text', text: choiceText(choice) }
  return { type: 'tool_use', id: callId(choice), name: tool.name, input: objectFrom(choiceArguments(choice)) }
}

/** Arguments that were cut off are no JSON: an empty object stands for them. */
function objectFrom(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return {}
  }
}

function messageStart(job: Job, choice: Choice): string {
  const { tool } = choice.answer
  const start = { content: [], model: job.model.name, stop_reason: null, stop_sequence: null }
  const message = { ...messageHead(job), ...start, usage: messageUsage(job, 0) }
  const block =
    tool === undefined ? { type: 'text', text: '' } : { type: 'tool_use', id: callId(choice), name: tool.name }
  return (
    namedEvent('message_start', { message }) + namedEvent('content_block_start', { index: 0, content_block: block })
  )
}
