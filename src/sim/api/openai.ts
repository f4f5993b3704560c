import { tokenize } from '#sim/tokens.ts'
import { type FieldRules, type JsonBody, readJsonBody } from './body.ts'
import { type ChosenModel, type Exchange, fieldsOf, isProblem, numberOf, type Protocol, stringOf } from './exchange.ts'
import { runGeneration, type Shape, type StreamUsage } from './generation.ts'
import { chatPrompt, chooseToolCall, completionPrompts } from './prompt.ts'

const SAMPLING_RULES: FieldRules = {
  model: { type: 'string' },
  temperature: { type: 'float' },
  top_p: { type: 'float' },
  max_tokens: { type: 'int' },
  n: { type: 'int' },
  stream: { type: 'bool' },
}

const CHAT_RULES: FieldRules = {
  messages: { type: 'list', isRequired: true },
  max_completion_tokens: { type: 'int' },
  tools: { type: 'list' },
  ...SAMPLING_RULES,
}

const COMPLETION_RULES: FieldRules = { prompt: { type: 'any', isRequired: true }, ...SAMPLING_RULES }

/** Reads the body and the model of a call, or refuses it. */
export function openCall(
  exchange: Exchange,
  protocol: Protocol,
  rules: FieldRules,
): { readonly body: JsonBody; readonly model: ChosenModel } | undefined {
  const result = readJsonBody(exchange.call, rules)
  if ('problem' in result) {
    protocol.refuseBody(exchange, result.problem)
    return undefined
  }
  const model = protocol.chooseModel(exchange.core, stringOf(result.body['model']))
  if (isProblem(model)) {
    protocol.refuse(exchange, model)
    return undefined
  }
  return { body: result.body, model }
}

/** `POST /v1/chat/completions`. */
export function handleChat(exchange: Exchange, protocol: Protocol, shape: Shape): void {
  const opened = openCall(exchange, protocol, CHAT_RULES)
  if (opened === undefined) return
  const { body, model } = opened
  const messages = body['messages']
  const last = Array.isArray(messages) ? fieldsOf(messages.at(-1))['role'] : undefined
  runGeneration(
    exchange,
    protocol,
    {
      model,
      body,
      prompts: [tokenize(chatPrompt(messages, body['tools']))],
      n: Math.max(1, numberOf(body['n']) ?? 1),
      maxTokens: numberOf(body['max_completion_tokens']) ?? numberOf(body['max_tokens']),
      tool: chooseToolCall(body['tools'], body['tool_choice'], last === 'tool'),
      isStream: body['stream'] === true,
      streamUsage: streamUsageOf(body),
    },
    shape,
  )
}

/** `POST /v1/completions`; without `max_tokens` the answer is cut at the engine's default. */
export function handleCompletions(exchange: Exchange, protocol: Protocol, shape: Shape): void {
  const opened = openCall(exchange, protocol, COMPLETION_RULES)
  if (opened === undefined) return
  const { body, model } = opened
  runGeneration(
    exchange,
    protocol,
    {
      model,
      body,
      prompts: completionPrompts(body['prompt'], tokenize),
      n: Math.max(1, numberOf(body['n']) ?? 1),
      maxTokens: numberOf(body['max_tokens']) ?? exchange.core.settings.defaultTokens,
      tool: undefined,
      isStream: body['stream'] === true,
      streamUsage: streamUsageOf(body),
    },
    shape,
  )
}

function streamUsageOf(body: JsonBody): StreamUsage {
  const options = fieldsOf(body['stream_options'])
  if (options['include_usage'] !== true) return 'none'
  return options['continuous_usage_stats'] === true ? 'continuous' : 'final'
}
