/** A streamed text completion that came in full. */
export interface StreamedAnswer {
  readonly text: string
  readonly promptTokens: number
  readonly outputTokens: number
  readonly cachedTokens: number
}

interface CompletionEvent {
  readonly choices?: readonly { readonly text?: string }[]
  readonly usage?: {
    readonly prompt_tokens?: number
    readonly completion_tokens?: number
    readonly prompt_tokens_details?: { readonly cached_tokens?: number } | null
  } | null
}

const eventMark = 'data: '
const endMark = 'data: [DONE]'

/** Reads a whole stream. Undefined when it broke off, or has no usage. */
export function readAnswer(stream: string): StreamedAnswer | undefined {
  const events = stream.split('\n\n').filter((event) => event !== '')
  if (events.at(-1) !== endMark) return undefined
  let text = ''
  let usage: CompletionEvent['usage']
  for (const event of events.slice(0, -1)) {
    if (!event.startsWith(eventMark)) return undefined
    const parsed = JSON.parse(event.slice(eventMark.length)) as CompletionEvent
    text += parsed.choices?.[0]?.text ?? ''
    usage = parsed.usage ?? usage
  }
  if (usage?.prompt_tokens === undefined || usage.completion_tokens === undefined) return undefined
  return {
    text,
    promptTokens: usage.prompt_tokens,
    outputTokens: usage.completion_tokens,
    cachedTokens: usage.prompt_tokens_details?.cached_tokens ?? 0,
  }
}
