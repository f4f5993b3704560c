import { tokenize } from '#sim/tokens.ts'
import { checkFields, type FieldRules, type JsonBody, parseJsonBody } from './body.ts'
import {
  type ChosenModel,
  type Exchange,
  fieldsOf,
  isBodyProblem,
  isProblem,
  numberOf,
  type Protocol,
  stringOf,
} from './exchange.ts'
import { type Generation, runGeneration, type Shape, type StreamUsage } from './generation.ts'
import { chatPrompt, chooseToolCall, chosenText, completionPrompts, structuredText } from './prompt.ts'

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

/** A call that has been taken so far. */
export interface OpenedCall {
  readonly body: JsonBody
  readonly model: ChosenModel
}

/** Reads the body and the model of a call, or refuses it. */
export function openCall(exchange: Exchange, protocol: Protocol, rules: FieldRules): OpenedCall | undefined {
  const result = parseJsonBody(exchange.call)
  if ('problem' in result) {
    protocol.refuseBody(exchange, result.problem)
    return undefined
  }
  const problem = protocol.inspect?.(exchange, result.body) ?? checkFields(result.body, rules)
  if (problem !== undefined) {
    if (isBodyProblem(problem)) protocol.refuseBody(exchange, problem)
    else protocol.refuse(exchange, problem)
    return undefined
  }
  const model = protocol.chooseModel(exchange.core, stringOf(result.body['model']))
  if (isProblem(model)) {
    protocol.refuse(exchange, model)
    return undefined
  }
  return { body: result.body, model }
}

/** How a generation is run, once it is known what is to be generated. */
export type RunGeneration = typeof runGeneration

/** `POST /v1/chat/completions`. */
export function handleChat(exchange: Exchange, protocol: Protocol, shape: Shape, run = runGeneration): void {
  const opened = openCall(exchange, protocol, CHAT_RULES)
  if (opened !== undefined) run(exchange, protocol, chatGeneration(opened), shape)
}

/** `POST /v1/completions`; without `max_tokens` the answer is cut at the engine's default. */
export function handleCompletions(exchange: Exchange, protocol: Protocol, shape: Shape, run = runGeneration): void {
  const opened = openCall(exchange, protocol, COMPLETION_RULES)
  if (opened === undefined) return
  const generation = completionGeneration(opened)
  const endsByItself = exchange.call.answerTokens !== undefined
  const maxTokens = generation.maxTokens ?? (endsByItself ? undefined : exchange.core.settings.defaultTokens)
  run(exchange, protocol, { ...generation, maxTokens }, shape)
}

/** What a chat asks to be generated. */
export function chatGeneration({ body, model }: OpenedCall): Generation {
  const messages = body['messages']
  const last = Array.isArray(messages) ? fieldsOf(messages.at(-1))['role'] : undefined
  return {
    ...commonGeneration({ body, model }),
    prompts: [tokenize(chatPrompt(messages, body['tools']))],
    maxTokens: numberOf(body['max_completion_tokens']) ?? numberOf(body['max_tokens']),
    tool: chooseToolCall(body['tools'], body['tool_choice'], last === 'tool'),
  }
}

/** What a text completion asks to be generated. */
export function completionGeneration({ body, model }: OpenedCall): Generation {
  return {
    ...commonGeneration({ body, model }),
    prompts: completionPrompts(body['prompt'], tokenize),
    maxTokens: numberOf(body['max_tokens']),
    tool: undefined,
  }
}

function commonGeneration({
  body,
  model,
}: OpenedCall): Pick<Generation, 'model' | 'body' | 'n' | 'text' | 'isStream' | 'streamUsage'> {
  return {
    model,
    body,
    n: Math.max(1, numberOf(body['n']) ?? 1),
    text: structuredText(body['response_format']) ?? chosenText(body),
    isStream: body['stream'] === true,
    streamUsage: streamUsageOf(body),
  }
}

function streamUsageOf(body: JsonBody): StreamUsage {
  const options = fieldsOf(body['stream_options'])
  if (options['include_usage'] !== true) return 'none'
  return options['continuous_usage_stats'] === true ? 'continuous' : 'final'
}
