import { type BodyProblem, type FieldProblem, type JsonBody, missingField } from '#sim/api/body.ts'
import { type Exchange, fieldsOf, numberOf, type Problem, type SimCore, stringOf } from '#sim/api/exchange.ts'

type Found = Problem | BodyProblem | undefined

/** What vLLM 0.32 checks of a body besides the types of its fields, by path; other paths are not looked at. */
export function inspectVllmBody({ core, call }: Exchange, body: JsonBody): Found {
  switch (call.path) {
    case '/v1/chat/completions':
      return checkMessages(body) ?? checkTools(body) ?? checkSampling(core, body)
    case '/v1/completions':
      return checkPrompt(body) ?? checkSampling(core, body)
    case '/tokenize':
      return checkTokenizeInput(body)
    default:
      return undefined
  }
}

function bad(message: string, param: string | null): Problem {
  return { status: 400, type: 'BadRequestError', message, param }
}

/** Roles a message can be read as; each of them says what it misses. Only the first ten complaints are shown. */
const MESSAGE_KINDS = [
  ['ChatCompletionDeveloperMessageParam', 'role'],
  ['ChatCompletionSystemMessageParam', 'role'],
  ['ChatCompletionUserMessageParam', 'role'],
  ['ChatCompletionAssistantMessageParam', 'role'],
  ['ChatCompletionToolMessageParam', 'role'],
  ['ChatCompletionToolMessageParam', 'tool_call_id'],
  ['ChatCompletionFunctionMessageParam', 'name'],
  ['ChatCompletionFunctionMessageParam', 'role'],
  ['CustomChatCompletionMessageParam', 'role'],
  ['Message', 'author'],
  ['Message', 'role'],
] as const

function checkMessages({ messages }: JsonBody): Found {
  if (!Array.isArray(messages)) return undefined
  if (messages.length === 0) {
    return bad('Cannot apply chat template to an empty conversation. Provide at least one message.', null)
  }
  const at = messages.findIndex((message) => fieldsOf(message)['role'] === undefined)
  if (at < 0) return undefined
  const message = fieldsOf(messages[at])
  const fields = MESSAGE_KINDS.map(
    ([kind, field]): FieldProblem => ({
      ...missingField(message, `messages.${at}.${kind}.${field}`),
    }),
  )
  return { kind: 'fields', fields }
}

function checkTools({ tools, tool_choice: choice }: JsonBody): Found {
  const names = (Array.isArray(tools) ? tools : []).map((tool) =>
    stringOf(fieldsOf(fieldsOf(tool)['function'])['name']),
  )
  if (choice === undefined || choice === null || choice === 'none') return undefined
  if (names.length === 0)
    return bad('When using `tool_choice`, `tools` must be set. (parameter=tool_choice)', 'tool_choice')
  const wanted = stringOf(fieldsOf(fieldsOf(choice)['function'])['name'])
  if (wanted === undefined || names.includes(wanted)) return undefined
  const message =
    'The tool specified in `tool_choice` does not match any of the specified `tools` (parameter=tool_choice)'
  return bad(message, 'tool_choice')
}

function checkPrompt({ prompt, prompt_embeds: embeds }: JsonBody): Found {
  const isThere =
    prompt !== undefined && prompt !== null && prompt !== '' && !(Array.isArray(prompt) && prompt.length === 0)
  if (isThere || (embeds !== undefined && embeds !== null)) return undefined
  return bad('Either prompt or prompt_embeds must be provided and non-empty. (parameter=prompt)', 'prompt')
}

/** One check of a sampling parameter. */
interface NumberCheck {
  readonly field: string
  isWrong(value: number, core: SimCore): boolean
  message(value: number): string
  /** Whether the error names the field. */
  readonly isNamed?: boolean
}

const named = (text: string, field: string, value: number) =>
  `${text}, got ${value}. (parameter=${field}, value=${value})`

const NUMBER_CHECKS: readonly NumberCheck[] = [
  ...['max_completion_tokens', 'max_tokens'].map((field) => ({
    field,
    isWrong: (value: number) => value < 1,
    message: (value: number) => named('max_tokens must be at least 1', 'max_tokens', value),
    isNamed: true,
  })),
  { field: 'n', isWrong: (value) => value < 1, message: (value) => `n must be at least 1, got ${value}.` },
  {
    field: 'temperature',
    isWrong: (value) => value < 0,
    message: (value) => named('temperature must be non-negative', 'temperature', value),
    isNamed: true,
  },
  {
    field: 'top_p',
    isWrong: (value) => value <= 0 || value > 1,
    message: (value) => named('top_p must be in (0, 1]', 'top_p', value),
    isNamed: true,
  },
]

function checkSampling(core: SimCore, body: JsonBody): Found {
  const { stream_options: options, cache_salt: salt } = body
  if (options !== undefined && options !== null && body['stream'] !== true && body['stream'] !== 'true') {
    return bad('Stream options can only be defined when `stream=True`. (parameter=stream_options)', 'stream_options')
  }
  if (salt === '') {
    return bad("Parameter 'cache_salt' must be a non-empty string if provided. (parameter=cache_salt)", 'cache_salt')
  }
  for (const check of NUMBER_CHECKS) {
    const value = numberOf(body[check.field])
    if (value === undefined || !check.isWrong(value, core)) continue
    const param = check.field === 'max_completion_tokens' ? 'max_tokens' : check.field
    return bad(check.message(value), check.isNamed === true ? param : null)
  }
  return undefined
}

function checkTokenizeInput(body: JsonBody): Found {
  if (body['prompt'] !== undefined || body['messages'] !== undefined) return undefined
  return { kind: 'fields', fields: [missingField(body, 'prompt'), missingField(body, 'messages')] }
}
