import { tokenize } from '#sim/tokens.ts'
import type { FieldRules, JsonBody } from './body.ts'
import { type Exchange, fieldsOf, numberOf, type Protocol, stringOf } from './exchange.ts'
import {
  type Choice,
  choiceArguments,
  choiceText,
  type Generation,
  type Job,
  runGeneration,
  type Shape,
  type TokenStep,
  usageOf,
} from './generation.ts'
import { type OpenedCall, openCall } from './openai.ts'
import { chatPrompt, chooseToolCall, structuredText } from './prompt.ts'

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
  runGeneration(exchange, protocol, responsesGeneration(opened), responsesShape())
}

/** What a call of the Responses API asks to be generated. */
export function responsesGeneration({ body, model }: OpenedCall): Generation {
  const { input, tools } = body
  const last = Array.isArray(input) ? fieldsOf(input.at(-1))['type'] : undefined
  return {
    model,
    body,
    prompts: [promptOf(body)],
    n: 1,
    maxTokens: numberOf(body['max_output_tokens']),
    tool: chooseToolCall(tools, body['tool_choice'], last === 'function_call_output'),
    text: structuredText(fieldsOf(body['text'])['format']),
    isStream: body['stream'] === true,
    streamUsage: 'final',
  }
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
  // An item is complete even when a limit cut the response.
  const status = statusOf(isDone, false)
  const { tool } = choice.answer
  if (tool !== undefined) {
    const args = isDone ? choiceArguments(choice) : ''
    const callId = choice.toolCallId.replace('chatcmpl-tool-', 'call_')
    return { arguments: args, call_id: callId, name: tool.name, type: 'function_call', id: itemId(job), status }
  }
  const text = { annotations: [], text: isDone ? choiceText(choice) : '', type: 'output_text', logprobs: null }
  const content = isDone ? [text] : []
  return { id: itemId(job), content, role: 'assistant', status, type: 'message', phase: null }
}

/** What a response repeats of its request, and what it says when the request did not. */
const REPEATED: Readonly<Record<string, unknown>> = {
  instructions: null,
  metadata: null,
  parallel_tool_calls: true,
  temperature: 1,
  tools: [],
  top_p: 1,
  max_output_tokens: null,
  max_tool_calls: null,
  prompt: null,
  top_logprobs: null,
  presence_penalty: 0,
  frequency_penalty: 0,
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
    // Without tools nothing can be chosen, whatever the request says.
    tool_choice: Array.isArray(job.body['tools']) ? (job.body['tool_choice'] ?? 'auto') : 'none',
    background: false,
    previous_response_id: null,
    reasoning: null,
    service_tier: 'auto',
    status: statusOf(isDone, isCut),
    text: null,
    truncation: 'disabled',
    usage: isDone ? finalUsage(job) : null,
    user: null,
    kv_transfer_params: null,
    ec_transfer_params: null,
    input_messages: null,
    output_messages: null,
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
    input_tokens_details: {
      cached_tokens: cachedTokens,
      cache_write_tokens: 0,
      input_tokens_per_turn: [],
      cached_tokens_per_turn: [],
    },
    output_tokens: outputTokens,
    output_tokens_details: {
      reasoning_tokens: 0,
      tool_output_tokens: 0,
      output_tokens_per_turn: [],
      tool_output_tokens_per_turn: [],
    },
    total_tokens: promptTokens + outputTokens,
  }
}
