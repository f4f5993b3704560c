import { sampleFromSchema, type ToolCall } from '#sim/answer.ts'
import { fieldsOf, stringOf } from './exchange.ts'

/**
 * The text a list of chat messages is read as: tools in front, then for each message the mark of its role and its content, at
 * the end the mark of the assistant. Each of these parts is a whole number of tokens ({@link wholeTokens}), so a conversation
 * that goes on begins with the tokens of prompt and answer so far.
 */
export function chatPrompt(messages: unknown, tools: unknown): string {
  let text = Array.isArray(tools) && tools.length > 0 ? wholeTokens(JSON.stringify(tools)) : ''
  for (const message of Array.isArray(messages) ? messages : []) {
    const { role, content, tool_calls: calls } = fieldsOf(message)
    text += chatMessage(
      stringOf(role) ?? 'user',
      contentText(content) + (calls === undefined ? '' : JSON.stringify(calls)),
    )
  }
  return text + wholeTokens('<|assistant|>')
}

/** One message as part of {@link chatPrompt}. */
export function chatMessage(role: string, text: string): string {
  return wholeTokens(`<|${role}|>`) + wholeTokens(text)
}

/** A text with one to four line feeds behind it, so that its bytes are a multiple of four: tokens do not reach over its end. */
function wholeTokens(text: string): string {
  return text + '\n\n\n\n'.slice(Buffer.byteLength(text) % 4)
}

/** The text of a message's content: a string, or parts of which those without text count as their JSON. */
export function contentText(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return content === undefined || content === null ? '' : JSON.stringify(content)
  return content
    .map((part) => (typeof part === 'string' ? part : (stringOf(fieldsOf(part)['text']) ?? JSON.stringify(part))))
    .join('')
}

/** A tool as the three API families declare it, reduced to what is needed to call it. */
interface Tool {
  readonly name: string
  readonly schema: unknown
}

/**
 * The call a model makes: the tool that `tool_choice` names, else the first one. None when there are no tools, when the choice
 * is `none`, or when the conversation ends with a tool's result.
 */
export function chooseToolCall(tools: unknown, choice: unknown, isAfterResult: boolean): ToolCall | undefined {
  const known = (Array.isArray(tools) ? tools : []).map(toolFrom)
  const { type, name, function: fn } = fieldsOf(choice)
  if (choice === 'none' || type === 'none' || isAfterResult) return undefined
  const wanted = stringOf(name) ?? stringOf(fieldsOf(fn)['name'])
  const tool = known.find((each) => each.name === wanted) ?? known[0]
  if (tool === undefined) return undefined
  const args = sampleFromSchema(tool.schema, 'value')
  return { name: tool.name, args: JSON.stringify(typeof args === 'object' && args !== null ? args : {}) }
}

/** The answer that an output format asks for: JSON of a schema's kind, or an empty object; undefined for plain text. */
export function structuredText(format: unknown): string | undefined {
  const { type, json_schema: named, schema } = fieldsOf(format)
  if (type === 'json_object') return '{}'
  if (type !== 'json_schema') return undefined
  return JSON.stringify(sampleFromSchema(schema ?? fieldsOf(named)['schema'], 'value'))
}

/** The answer that vLLM's own fields for structured output ask for: the first choice, or JSON of a schema's kind. */
export function chosenText(body: Readonly<Record<string, unknown>>): string | undefined {
  const { choice, json } = fieldsOf(body['structured_outputs'])
  if (Array.isArray(choice)) return stringOf(choice[0])
  return json === undefined ? undefined : JSON.stringify(sampleFromSchema(json, 'value'))
}

function toolFrom(declared: unknown): Tool {
  const outer = fieldsOf(declared)
  const inner = outer['function'] === undefined ? outer : fieldsOf(outer['function'])
  return { name: stringOf(inner['name']) ?? 'tool', schema: inner['parameters'] ?? inner['input_schema'] }
}

/** The token sequences of a completions prompt: a text, token ids, or a list of either. */
export function completionPrompts(prompt: unknown, tokenize: (text: string) => Uint32Array): Uint32Array[] {
  if (typeof prompt === 'string') return [tokenize(prompt)]
  if (!Array.isArray(prompt)) return [tokenize('')]
  if (prompt.every((item) => typeof item === 'number')) return [Uint32Array.from(prompt)]
  return prompt.flatMap((item) => completionPrompts(item, tokenize))
}
