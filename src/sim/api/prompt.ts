import { sampleFromSchema, type ToolCall } from '#sim/answer.ts'
import { fieldsOf, stringOf } from './exchange.ts'

/** The text a list of chat messages is read as: one part for each message, tools in front. */
export function chatPrompt(messages: unknown, tools: unknown): string {
  let text = Array.isArray(tools) && tools.length > 0 ? `${JSON.stringify(tools)}\n` : ''
  for (const message of Array.isArray(messages) ? messages : []) {
    const fields = fieldsOf(message)
    text += `<|${stringOf(fields['role']) ?? 'user'}|>\n${contentText(fields['content'])}`
    if (fields['tool_calls'] !== undefined) text += JSON.stringify(fields['tool_calls'])
    text += '\n'
  }
  return `${text}<|assistant|>\n`
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
