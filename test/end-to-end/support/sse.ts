/** One event of a stream. */
export interface StreamEvent {
  readonly event: string | undefined
  readonly data: string
}

/** The events of a complete stream; whatever follows the last blank line is a fragment. */
export function splitEvents(text: string): { readonly events: readonly StreamEvent[]; readonly fragment: string } {
  const parts = text.replaceAll('\r\n', '\n').split('\n\n')
  const fragment = parts.pop() ?? ''
  const events = parts.map((part) => {
    const lines = part.split('\n')
    const valueOf = (field: string): string | undefined =>
      lines
        .find((line) => line.startsWith(`${field}:`))
        ?.slice(field.length + 1)
        .trimStart()
    return { event: valueOf('event'), data: valueOf('data') ?? '' }
  })
  return { events, fragment }
}

/** The JSON documents of an OpenAI stream, without `[DONE]`. */
export function chunksOf(text: string): readonly Record<string, unknown>[] {
  return splitEvents(text)
    .events.filter(({ data }) => data !== '' && data !== '[DONE]')
    .map(({ data }) => JSON.parse(data) as Record<string, unknown>)
}
