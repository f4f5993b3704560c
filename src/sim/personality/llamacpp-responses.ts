import {
  type Choice,
  choiceArguments,
  choiceText,
  type Job,
  type Shape,
  type TokenStep,
  usageOf,
} from '#sim/api/generation.ts'
import { namedEvent, timings, UNBUFFERED } from './llamacpp-shapes.ts'

/** The Responses API as llama.cpp's server answers it: always completed, whatever ended it. */
export const llamacppResponses: Shape = {
  idPrefix: 'resp_',
  streamType: 'text/event-stream',
  streamHeaders: UNBUFFERED,
  body: (job) => ({
    completed_at: job.createdS,
    created_at: job.createdS,
    id: job.id,
    model: job.model.name,
    object: 'response',
    output: job.choices.map((choice) => outputItem(job, choice)),
    status: 'completed',
    usage: usage(job),
  }),
  token(job, step) {
    const opening = step.index === 0 ? responseStart(job) + itemStart(job, step.choice) : ''
    return opening + itemDelta(job, step)
  },
  closing(job) {
    const choice = job.choices[0]
    const items = job.choices.map((each) => outputItem(job, each))
    const response = {
      id: job.id,
      object: 'response',
      created_at: job.createdS,
      status: 'completed',
      model: job.model.name,
      output: items,
      usage: usage(job),
    }
    const completed = { type: 'response.completed', response, timings: timings(choice?.ticket) }
    const done = choice === undefined ? '' : itemDone(job, choice)
    return `${done}event: response.completed\ndata: ${JSON.stringify(completed)}\n\n`
  },
}

function messageId({ id }: Job): string {
  return id.replace(/^resp_/, 'msg_')
}

function callId(choice: Choice): string {
  return choice.toolCallId.replace('chatcmpl-tool-', 'fc_')
}

function responseStart({ id }: Job): string {
  const response = { id, object: 'response', status: 'in_progress' }
  return namedEvent('response.created', { response }) + namedEvent('response.in_progress', { response })
}

function itemStart(job: Job, choice: Choice): string {
  const { tool } = choice.answer
  if (tool !== undefined) {
    const item = {
      arguments: '',
      call_id: callId(choice),
      name: tool.name,
      type: 'function_call',
      status: 'in_progress',
    }
    return namedEvent('response.output_item.added', { item })
  }
  const id = messageId(job)
  const item = { content: [], id, role: 'assistant', status: 'in_progress', type: 'message' }
  return (
    namedEvent('response.output_item.added', { item }) +
    namedEvent('response.content_part.added', { item_id: id, part: { type: 'output_text', text: '' } })
  )
}

function itemDelta(job: Job, { choice, piece }: TokenStep): string {
  if (choice.answer.tool === undefined) {
    return namedEvent('response.output_text.delta', { item_id: messageId(job), delta: piece })
  }
  if (piece === '') return ''
  return namedEvent('response.function_call_arguments.delta', { delta: piece, item_id: callId(choice) })
}

function itemDone(job: Job, choice: Choice): string {
  const item = outputItem(job, choice)
  const done = namedEvent('response.output_item.done', { item })
  if (choice.answer.tool !== undefined) return done
  const id = messageId(job)
  const text = choiceText(choice)
  const part = textPart(text)
  return (
    namedEvent('response.output_text.done', { item_id: id, text }) +
    namedEvent('response.content_part.done', { item_id: id, part }) +
    done
  )
}

function textPart(text: string): unknown {
  return { type: 'output_text', annotations: [], logprobs: [], text }
}

function outputItem(job: Job, choice: Choice): unknown {
  const { tool } = choice.answer
  if (tool !== undefined) {
    const args = choiceArguments(choice)
    return { type: 'function_call', status: 'completed', arguments: args, call_id: callId(choice), name: tool.name }
  }
  const content = [textPart(choiceText(choice))]
  return { content, id: messageId(job), role: 'assistant', status: 'completed', type: 'message' }
}

function usage(job: Job): unknown {
  const { promptTokens, outputTokens, cachedTokens } = usageOf(job)
  return {
    input_tokens: promptTokens,
    output_tokens: outputTokens,
    total_tokens: promptTokens + outputTokens,
    input_tokens_details: { cached_tokens: cachedTokens },
  }
}
