import type { Exchange } from '#sim/api/exchange.ts'
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
import type { ReplyHeaders } from '#sim/reply.ts'

/** The version whose shapes these are. */
export const TGI_VERSION = '3.3.6'

const FINGERPRINT = `${TGI_VERSION}-native`

/** Chat completions as TGI answers them. */
export const tgiChat: Shape = {
  idPrefix: '',
  streamType: 'text/event-stream',
  body: (job) => ({
    object: 'chat.completion',
    ...head(job),
    choices: job.choices.map((choice) => ({
      index: choice.index,
      message: chatMessage(choice),
      logprobs: null,
      finish_reason: choice.answer.finish,
    })),
    usage: finalUsage(job),
  }),
  token(job, step) {
    const { choice, finish } = step
    const choices = [{ index: choice.index, delta: chatDelta(step), logprobs: null, finish_reason: finish ?? null }]
    return dataEvent({ object: 'chat.completion.chunk', ...head(job), choices, usage: null })
  },
  closing: (job) => closing(job, 'chat.completion.chunk'),
}

/** Text completions as TGI answers them. */
export const tgiCompletions: Shape = {
  idPrefix: '',
  streamType: 'text/event-stream',
  body: (job) => ({
    object: 'text_completion',
    ...head(job),
    choices: job.choices.map((choice) => ({
      index: choice.index,
      text: choiceText(choice),
      logprobs: null,
      finish_reason: choice.answer.finish,
    })),
    usage: finalUsage(job),
  }),
  token(job, { choice, piece, finish }) {
    const choices = [{ index: choice.index, text: piece, logprobs: null, finish_reason: finish ?? null }]
    return dataEvent({ object: 'text_completion', ...head(job), choices })
  },
  closing: (job) => closing(job, 'text_completion'),
}

/** `/generate` and `/generate_stream`: events without a space after the colon, the last one with the whole text, no end mark. */
export const tgiGenerate: Shape = {
  idPrefix: '',
  isPerToken: true,
  streamType: 'text/event-stream',
  body(job) {
    const choice = job.choices[0]
    const text = choice === undefined ? '' : choiceText(choice)
    const parameters = job.body['parameters'] as Readonly<Record<string, unknown>> | undefined
    return {
      generated_text: text,
      ...(parameters?.['details'] === true && choice !== undefined ? { details: details(choice) } : {}),
    }
  },
  token(_job, { choice, index, piece, finish }) {
    const isLast = finish !== undefined
    const event = {
      index: index + 1,
      token: { id: index, text: piece, logprob: -0.5, special: false },
      generated_text: isLast ? choiceText(choice) : null,
      details: isLast ? details(choice) : null,
    }
    return `data:${JSON.stringify(event)}\n\n`
  },
  closing: () => '',
}

/** Headers with the times of this answer, as on every unary generation. */
export function tgiHeaders({ core, call }: Exchange): ReplyHeaders {
  const totalMs = Math.max(0, Math.round((core.clock.wallMs() - call.atMs) * core.settings.timeFactor))
  return { 'x-compute-type': 'sim', 'x-total-time': String(totalMs), 'x-compute-time': String(totalMs / 1000) }
}

function head(job: Job): Readonly<Record<string, unknown>> {
  return { id: '', created: job.createdS, model: job.model.name, system_fingerprint: FINGERPRINT }
}

function details({ answer, ticket }: Choice): unknown {
  const finish_reason = answer.finish === 'length' ? 'length' : 'eos_token'
  return { finish_reason, generated_tokens: answer.tokens, seed: null, input_length: ticket.work.promptTokens.length }
}

function chatMessage(choice: Choice): unknown {
  const { tool } = choice.answer
  if (tool === undefined) return { role: 'assistant', content: choiceText(choice) }
  const call = {
    id: '0',
    type: 'function',
    function: { description: null, name: tool.name, arguments: choiceArguments(choice) },
  }
  return { role: 'assistant', tool_calls: [call] }
}

function chatDelta({ choice, index, piece }: TokenStep): unknown {
  const { tool } = choice.answer
  if (tool === undefined) return { role: 'assistant', content: piece }
  const call = {
    index: 0,
    id: '0',
    type: 'function',
    function: { name: index === 0 ? tool.name : null, arguments: piece },
  }
  return { role: 'assistant', tool_calls: [call] }
}

function closing(job: Job, object: string): string {
  if (job.streamUsage === 'none') return 'data: [DONE]\n\n'
  return `${dataEvent({ object, ...head(job), choices: [], usage: finalUsage(job) })}data: [DONE]\n\n`
}

function finalUsage(job: Job): unknown {
  const { promptTokens, outputTokens } = usageOf(job)
  return { prompt_tokens: promptTokens, completion_tokens: outputTokens, total_tokens: promptTokens + outputTokens }
}
