import { tokenize } from '#sim/tokens.ts'
import type { FieldRules, JsonBody } from './body.ts'
import { type Exchange, fieldsOf, numberOf, type Protocol, stringOf } from './exchange.ts'
import {
  type Choice,
  choiceArguments,
  choiceText,
  type Job,
  runGeneration,
  type Shape,
  type TokenStep,
  usageOf,
} from './generation.ts'
import { openCall } from './openai.ts'
import { chatPrompt, chooseToolCall } from './prompt.ts'

const RULES: FieldRules = {
  input: { type: 'any', isRequired: true },
  model: { type: 'string' },
  stream: { type: 'bool' },
  temperature: { type: 'float' },
  max_output_tokens: { type: 'int' },
  tools: { type: 'list' },
}

/** `POST /v1/responses`. */
export function handleResponses(exchange: Exchange, protocol: Protocol): void {
  const opened = openCall(exchange, protocol, RULES)
  if (opened === undefined) return
  const { body, model } = opened
  const { input, tools } = body
  const last = Array.isArray(input) ? fieldsOf(input.at(-1))['type'] : undefined
  runGeneration(
    exchange,
    protocol,
    {
      model,
      body,
      prompts: [promptOf(body)],
      n: 1,
      maxTokens: numberOf(body['max_output_tokens']),
      tool: chooseToolCall(tools, body['tool_choice'], last === 'function_call_output'),
      isStream: body['stream'] === true,
      streamUsage: 'final',
    },
    responsesShape(),
  )
}

function promptOf({ instructions, input, tools }: JsonBody): Uint32Array {
  const system = stringOf(instructions) === undefined ? [] : [{ role: 'system', content: instructions }]
  const messages = Array.isArray(input) ? input : [{ role: 'user', content: input }]
  return tokenize(chatPrompt([...system, ...messages], tools))
}

/** A shape for one call: the events of a response are numbered. */
function responsesShape(): Shape {
  let sequence = 0
  const event = (type: string, fields: Readonly<Record<string, unknown>>) =>
    `event: ${type}\ndata: ${JSON.stringify({ ...fields, sequence_number: sequence++, type })}\n\n`
  return {
    idPrefix: 'resp_',
    streamType: 'text/event-stream; charset=utf-8',
    body: (job) => responseObject(job, true),
    opening: (job) =>
      event('response.created', { response: responseObject(job, false) }) +
      event('response.in_progress', { response: responseObject(job, false) }),
    token(job, step) {
      const start = step.index === 0 ? itemStart(job, step.choice, event) : ''
      return start + itemDelta(job, step, event)
    },
    closing(job) {
      const choice = job.choices[0]
      const done = choice === undefined ? '' : itemDone(job, choice, event)
      return done + event('response.completed', { response: responseObject(job, true) })
    },
  }
}

type EventWriter = (type: string, fields: Readonly<Record<string, unknown>>) => string

function itemStart(job: Job, choice: Choice, event: EventWriter): string {
  const item = outputItem(job, choice, false)
  const added = event('response.output_item.added', { item, output_index: 0 })
  if (choice.answer.tool !== undefined) return added
  const part = { type: 'output_text', text: '', annotations: [], logprobs: [] }
  return added + event('response.content_part.added', { ...place(job), part })
}

function itemDelta(job: Job, { choice, index, piece }: TokenStep, event: EventWriter): string {
  if (choice.answer.tool === undefined)
    return event('response.output_text.delta', { ...place(job), delta: piece, logprobs: [] })
  if (index === 0) return ''
  return event('response.function_call_arguments.delta', { item_id: itemId(job), output_index: 0, delta: piece })
}

function itemDone(job: Job, choice: Choice, event: EventWriter): string {
  const done = () => event('response.output_item.done', { item: outputItem(job, choice, true), output_index: 0 })
  const { tool } = choice.answer
  if (tool !== undefined) {
    const fields = { item_id: itemId(job), output_index: 0, name: tool.name, arguments: choiceArguments(choice) }
    return event('response.function_call_arguments.done', fields) + done()
  }
  const text = choiceText(choice)
  const part = { type: 'output_text', text, annotations: [], logprobs: null }
  return (
    event('response.output_text.done', { ...place(job), text, logprobs: [] }) +
    event('response.content_part.done', { ...place(job), part }) +
    done()
  )
}

function place(job: Job): { item_id: string; output_index: number; content_index: number } {
  return { item_id: itemId(job), output_index: 0, content_index: 0 }
}

function itemId(job: Job): string {
  return job.id.replace(/^resp_/, job.choices[0]?.answer.tool === undefined ? 'msg_' : 'fc_')
}

function outputItem(job: Job, choice: Choice, isDone: boolean): unknown {
  const isCut = choice.answer.finish === 'length'
  const status = statusOf(isDone, isCut)
  const { tool } = choice.answer
  if (tool !== undefined) {
    const args = isDone ? choiceArguments(choice) : ''
    const callId = choice.toolCallId.replace('chatcmpl-tool-', 'call_')
    return { arguments: args, call_id: callId, name: tool.name, type: 'function_call', id: itemId(job), status }
  }
  const text = { annotations: [], text: isDone ? choiceText(choice) : '', type: 'output_text', logprobs: null }
  return { id: itemId(job), content: isDone ? [text] : [], role: 'assistant', status, type: 'message' }
}

/** What a response repeats of its request, and what it says when the request did not. */
const REPEATED: Readonly<Record<string, unknown>> = {
  instructions: null,
  metadata: null,
  parallel_tool_calls: true,
  temperature: 1,
  tool_choice: 'auto',
  tools: [],
  top_p: 1,
  max_output_tokens: null,
}

function responseObject(job: Job, isDone: boolean): unknown {
  const choice = isDone ? job.choices[0] : undefined
  const isCut = choice?.answer.finish === 'length'
  const repeated = Object.entries(REPEATED).map(([key, otherwise]) => [key, job.body[key] ?? otherwise])
  return {
    id: job.id,
    created_at: job.createdS,
    incomplete_details: isCut ? { reason: 'max_output_tokens' } : null,
    model: job.model.name,
    object: 'response',
    output: choice === undefined ? [] : [outputItem(job, choice, true)],
    ...Object.fromEntries(repeated),
    background: false,
    previous_response_id: null,
    reasoning: null,
    service_tier: 'auto',
    status: statusOf(isDone, isCut),
    text: null,
    truncation: 'disabled',
    usage: isDone ? finalUsage(job) : null,
    user: null,
  }
}

function statusOf(isDone: boolean, isCut: boolean): string {
  if (!isDone) return 'in_progress'
  return isCut ? 'incomplete' : 'completed'
}

function finalUsage(job: Job): unknown {
  const { promptTokens, outputTokens, cachedTokens } = usageOf(job)
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: cachedTokens },
    output_tokens: outputTokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: promptTokens + outputTokens,
  }
}
