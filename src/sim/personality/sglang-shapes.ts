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
const METADATA = { weight_version: 'default' }

/** Chat completions as SGLang answers them: the reason of the end comes in a chunk of its own. */
export const sglangChat: Shape = {
  idPrefix: '',
  streamType: STREAM_TYPE,
  body: (job) => ({
    id: job.id,
    object: 'chat.completion',
    created: job.createdS,
    model: job.model.name,
    choices: job.choices.map((choice) => ({
      index: choice.index,
      message: chatMessage(choice),
      logprobs: null,
      finish_reason: choice.answer.finish,
      matched_stop: null,
    })),
    usage: finalUsage(job),
    metadata: METADATA,
  }),
  token(job, step) {
    const { choice, index, finish } = step
    const chunk = (delta: Readonly<Record<string, unknown>>, reason: string | null) =>
      event(job, choice, 'chat.completion.chunk', {
        delta: { ...EMPTY_DELTA, ...delta },
        logprobs: null,
        finish_reason: reason,
        matched_stop: null,
      })
    const opening = index === 0 ? chunk({ role: 'assistant', content: '' }, null) : ''
    const ending = finish === undefined ? '' : chunk({}, finish)
    return opening + chunk(chatDelta(step), null) + ending
  },
  closing: (job) => usageEvent(job, 'chat.completion.chunk'),
}

/** Text completions as SGLang answers them. */
export const sglangCompletions: Shape = {
  idPrefix: '',
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
      matched_stop: null,
    })),
    usage: finalUsage(job),
    metadata: METADATA,
  }),
  token: (job, { choice, piece, finish }) =>
    event(job, choice, 'text_completion', {
      text: piece,
      logprobs: null,
      finish_reason: finish ?? null,
      matched_stop: null,
    }),
  closing: (job) => usageEvent(job, 'text_completion'),
}

/** The native `/generate`: each event of a stream carries the whole text so far. */
export function sglangGenerate(nowMs: () => number): Shape {
  const texts = new Map<number, string>()
  return {
    idPrefix: '',
    streamType: STREAM_TYPE,
    body(job) {
      const answers = job.choices.map((choice) => generateAnswer(job, choice, choiceText(choice), nowMs()))
      return job.choices.length === 1 && !Array.isArray(job.body['text']) ? answers[0] : answers
    },
    token(job, { choice, piece }) {
      const text = (texts.get(choice.index) ?? '') + piece
      texts.set(choice.index, text)
      const answer = generateAnswer(job, choice, text, nowMs())
      return dataEvent(job.choices.length === 1 ? answer : { ...answer, index: choice.index })
    },
    closing: () => 'data: [DONE]\n\n',
  }
}

const EMPTY_DELTA = { role: null, content: null, reasoning_content: null, tool_calls: null }

function chatMessage(choice: Choice): unknown {
  const { tool } = choice.answer
  const toolCalls = tool && [
    {
      id: callId(choice),
      index: 0,
      type: 'function',
      function: { name: tool.name, arguments: choiceArguments(choice) },
    },
  ]
  return {
    role: 'assistant',
    content: tool === undefined ? choiceText(choice) : null,
    reasoning_content: null,
    tool_calls: toolCalls ?? null,
  }
}

function callId(choice: Choice): string {
  return choice.toolCallId.replace('chatcmpl-tool-', 'call_')
}

function chatDelta({ choice, index, piece }: TokenStep): Readonly<Record<string, unknown>> {
  const { tool } = choice.answer
  if (tool === undefined) return { content: piece }
  const start = { id: callId(choice), index: 0, type: 'function', function: { name: tool.name, arguments: '' } }
  const more = { id: null, index: 0, type: 'function', function: { name: null, arguments: piece } }
  return { tool_calls: [index === 0 ? start : more] }
}

function event(job: Job, choice: Choice, object: string, fields: Readonly<Record<string, unknown>>): string {
  return dataEvent({
    id: job.id,
    object,
    created: job.createdS,
    model: job.model.name,
    choices: [{ index: choice.index, ...fields }],
    usage: job.streamUsage === 'continuous' ? usageWith(job, choice.ticket.produced) : null,
  })
}

function usageEvent(job: Job, object: string): string {
  if (job.streamUsage === 'none') return 'data: [DONE]\n\n'
  const last = { id: job.id, object, created: job.createdS, model: job.model.name, choices: [], usage: finalUsage(job) }
  return `${dataEvent(last)}data: [DONE]\n\n`
}

function finalUsage(job: Job): unknown {
  return usageWith(job, usageOf(job).outputTokens)
}

/** With the cache report on, as `--enable-cache-report` shows it. */
function usageWith(job: Job, outputTokens: number): unknown {
  const { promptTokens, cachedTokens } = usageOf(job)
  return {
    prompt_tokens: promptTokens,
    total_tokens: promptTokens + outputTokens,
    completion_tokens: outputTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
    reasoning_tokens: 0,
  }
}

function generateAnswer(
  job: Job,
  { answer, ticket }: Choice,
  text: string,
  nowMs: number,
): Readonly<Record<string, unknown>> {
  const isDone = ticket.produced === answer.tokens
  const reason = answer.finish === 'length' ? { type: 'length', length: answer.tokens } : { type: 'stop', matched: 2 }
  return {
    text,
    meta_info: {
      id: job.id,
      finish_reason: isDone ? reason : null,
      prompt_tokens: ticket.work.promptTokens.length,
      weight_version: 'default',
      completion_tokens: ticket.produced,
      cached_tokens: ticket.cachedTokens,
      e2e_latency: (nowMs - ticket.arrivedMs) / 1000,
    },
  }
}
