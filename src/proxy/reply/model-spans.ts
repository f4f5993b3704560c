import type { Span } from '#core/request.ts'
import { ObjectScanner } from '#wire/json/object-scanner.ts'

const quote = 0x22

/** Finds where replies name the model: `model` itself, and inside `response` (Responses) and `message` (Anthropic). */
export class ModelFinder {
  readonly #outer = new ObjectScanner(new Set(['model', 'response', 'message']))
  readonly #inner = new ObjectScanner(new Set(['model']))

  /** Spans of the names (strings with their quotes), as positions in `data`; none when [start, end) is no JSON object. */
  find(data: Buffer, start: number, end: number): Span[] {
    const spans: Span[] = []
    this.#outer.reset()
    this.#outer.push(data, start, end)
    if (!this.#outer.complete) return spans
    for (const member of this.#outer.members) {
      const from = start + member.start
      const to = start + member.end
      if (member.key !== 'model') this.#findInner(data, from, to, spans)
      else if (data[from] === quote) spans.push({ start: from, end: to })
    }
    return spans
  }

  #findInner(data: Buffer, start: number, end: number, spans: Span[]): void {
    this.#inner.reset()
    this.#inner.push(data, start, end)
    if (!this.#inner.complete) return
    for (const member of this.#inner.members) {
      if (data[start + member.start] === quote) spans.push({ start: start + member.start, end: start + member.end })
    }
  }
}
