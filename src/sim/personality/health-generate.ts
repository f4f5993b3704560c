import type { Exchange } from '#sim/api/exchange.ts'
import { tokenize } from '#sim/tokens.ts'

/** Generates one token and answers 200 with `text` when it comes: a health check that goes through the engine. */
export function answerHealthGenerate({ core, reply }: Exchange, text: string): void {
  const ticket = core.engine.submit({
    promptTokens: tokenize('health'),
    outputTokens: 1,
    endsBy: 'length',
    adapter: undefined,
    cacheSalt: 'health',
    isFrozen: reply.isHung,
    onDone: () => reply.send(200, {}, text),
  })
  reply.onLeave(() => ticket.abort())
  reply.onHang(() => ticket.freeze())
}
