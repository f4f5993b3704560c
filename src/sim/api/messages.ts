import type { FinishReason } from '#sim/answer.ts'
import { tokenize } from '#sim/tokens.ts'
import type { FieldRules, JsonBody } from './body.ts'
import { type Exchange, fieldsOf, numberOf, type Protocol } from './exchange.ts'
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
import { chatMessage, chatPrompt, chooseToolCall, contentText } from './prompt.ts'

const RULES: FieldRules = {
  model: { type: 'string', isRequired: true },
  messages: { type: 'list', isRequired: true },
  max_tokens: { type: 'int', isRequired: true },
  stream: { type: 'bool' },
  temperature: { type: 'float' },
  tools: { type: 'list' },
}

const COUNT_RULES: FieldRules = {
  model: { type: 'string', isRequired: true },
  messages: { type: 'list', isRequired: true },
}

/** `POST /v1/messages`, the Anthropic API. */
export function handleMessages(exchange: Exchange, protocol: Protocol): void {
  const opened = openCall(exchange, protocol, RULES)
  if (opened === undefined) return
  runGeneration(exchange, protocol, messagesGeneration(opened), MESSAGES_SHAPE)
}

/** What a call of the Anthropic API asks to be generated. */
export function messagesGeneration({ body, model }: OpenedCall): Generation {
  return {
    model,
    body,
    prompts: [promptOf(body)],
    n: 1,
    maxTokens: numberOf(body['max_tokens']),
    tool: chooseToolCall(body['tools'], body['tool_choice'], endsWithToolResult(body)),
    isStream: body['stream'] === true,
    streamUsage: 'final',
  }
}

/** `POST /v1/messages/count_tokens`. */
export function handleCountTokens(exchange: Exchange, protocol: Protocol): void {
  const opened = openCall(exchange, protocol, COUNT_RULES)
  if (opened !== undefined) {
    const tokens = countMessagesTokens(opened.body)
    const context_management = { original_input_tokens: tokens }
    exchange.reply.json(200, { input_tokens: tokens, context_management })
  }
}

/** Tokens of the prompt that a call of the Anthropic API makes. */
export function countMessagesTokens(body: JsonBody): number {
  return promptOf(body).length
}

function promptOf(body: JsonBody): Uint32Array {
  const system = body['system'] === undefined ? '' : chatMessage('system', contentText(body['system']))
  return tokenize(system + chatPrompt(body['messages'], body['tools']))
}

function endsWithToolResult(body: JsonBody): boolean {
  const messages = body['messages']
  const content = Array.isArray(messages) ? fieldsOf(messages.at(-1))['content'] : undefined
  return Array.isArray(content) && content.some((part) => fieldsOf(part)['type'] === 'tool_result')
}

const STOP_REASONS: Readonly<Record<FinishReason, string>> = {
  stop: 'end_turn',
  length: 'max_tokens',
  tool_calls: 'tool_use',
}

/** Events and bodies as vLLM 0.32 sends them. */
const MESSAGES_SHAPE: Shape = {
  idPrefix: 'chatcmpl-',
  streamType: 'text/event-stream; charset=utf-8',
  body(job) {
    const choice = job.choices[0]
    return {
      id: job.id,
      type: 'message',
      role: 'assistant',
      content: choice === undefined ? [] : [contentBlock(choice)],
      model: job.model.name,
      stop_reason: choice === undefined ? null : STOP_REASONS[choice.answer.finish],
      usage: finalUsage(job),
    }
  },
  token(job, step) {
    const start = step.index === 0 ? messageStart(job) + blockStart(step.choice) : ''
    return start + blockDelta(step)
  },
  closing(job) {
    const finish = job.choices[0]?.answer.finish ?? 'stop'
    return (
      event('content_block_stop', { index: 0 }) +
      event('message_delta', {
        delta: { stop_reason: STOP_REASONS[finish], stop_sequence: null },
        usage: finalUsage(job),
      }) +
      event('message_stop', {})
    )
  },
}

function contentBlock(choice: Choice): unknown {
  const { tool } = choice.answer
  if (tool === undefined) return { type: 'text', text: choiceText(choice) }
  return { type: 'tool_use', id: choice.toolCallId, name: tool.name, input: parsedOrEmpty(choiceArguments(choice)) }
}

/** Arguments cut off by a token limit are no JSON: they become an empty object, as the API has no other way to show them. */
function parsedOrEmpty(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return {}
  }
}

function messageStart(job: Job): string {
  const message = {
    id: job.id,
    type: 'message',
    role: 'assistant',
    content: [],
    model: job.model.name,
    stop_reason: null,
    stop_sequence: null,
    usage: { input_tokens: job.promptTokens, output_tokens: 0 },
  }
  return event('message_start', { message })
}

function blockStart({ answer, toolCallId }: Choice): string {
  const block =
    answer.tool === undefined
      ? { type: 'text', text: '' }
      : { type: 'tool_use', id: toolCallId, name: answer.tool.name, input: {} }
  return event('content_block_start', { content_block: block, index: 0 })
}

function blockDelta({ choice, index, piece }: TokenStep): string {
  if (choice.answer.tool === undefined) {
    return `event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"text_delta","text":${JSON.stringify(piece)}},"index":0}\n\n`
  }
  return index === 0
    ? ''
    : event('content_block_delta', { delta: { type: 'input_json_delta', partial_json: piece }, index: 0 })
}

function finalUsage(job: Job): unknown {
  const { promptTokens, outputTokens, cachedTokens } = usageOf(job)
  return {
    input_tokens: promptTokens - cachedTokens,
    output_tokens: outputTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cachedTokens,
  }
}

function event(type: string, fields: Readonly<Record<string, unknown>>): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`
}
