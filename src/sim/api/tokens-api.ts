import { detokenize, tokenize } from '#sim/tokens.ts'
import type { Exchange, Protocol } from './exchange.ts'
import { stringOf } from './exchange.ts'
import { openCall } from './openai.ts'
import { chatPrompt } from './prompt.ts'

/** `POST /tokenize`: of a prompt, or of chat messages. */
export function handleTokenize(exchange: Exchange, protocol: Protocol): void {
  const opened = openCall(exchange, protocol, { model: { type: 'string' } })
  if (opened === undefined) return
  const { body } = opened
  const text = stringOf(body['prompt']) ?? chatPrompt(body['messages'], body['tools'])
  const tokens = tokenize(text)
  exchange.reply.json(200, {
    count: tokens.length,
    max_model_len: exchange.core.settings.maxModelLen,
    tokens: [...tokens],
    token_strs: body['return_token_strs'] === true ? [...tokens].map((token) => detokenize([token])) : null,
  })
}

/** `POST /detokenize`. */
export function handleDetokenize(exchange: Exchange, protocol: Protocol): void {
  const opened = openCall(exchange, protocol, { model: { type: 'string' }, tokens: { type: 'list', isRequired: true } })
  if (opened === undefined) return
  const tokens = opened.body['tokens']
  const ids = Array.isArray(tokens) ? tokens.filter((token) => typeof token === 'number') : []
  exchange.reply.json(200, { prompt: detokenize(ids) })
}
