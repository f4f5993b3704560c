import type { Choice } from '#sim/api/generation.ts'

type Body = Readonly<Record<string, unknown>>

/** The log probability of every token of the simulator: it has none, so all are alike. */
const LOGPROB = -1

/** `logprobs` of some tokens of a chat choice: null unless the request asks for them. */
export function chatLogprobs(body: Body, { answer }: Choice, first: number, count: number): unknown {
  if (body['logprobs'] !== true) return null
  const top = Math.max(0, Number(body['top_logprobs'] ?? 0))
  return {
    content: Array.from({ length: count }, (_, i) => {
      const token = answer.piece(first + i)
      const entry = { token, logprob: LOGPROB, bytes: [...Buffer.from(token)] }
      return { ...entry, top_logprobs: Array.from({ length: top }, () => entry) }
    }),
  }
}

/** `logprobs` of some tokens of a text choice: null unless the request asks for them. */
export function textLogprobs(body: Body, { answer }: Choice, first: number, count: number): unknown {
  if (typeof body['logprobs'] !== 'number') return null
  const tokens = Array.from({ length: count }, (_, i) => answer.piece(first + i))
  let offset = 0
  for (let i = 0; i < first; i++) offset += answer.piece(i).length
  const offsets = tokens.map((token) => {
    offset += token.length
    return offset - token.length
  })
  return {
    text_offset: offsets,
    token_logprobs: tokens.map(() => LOGPROB),
    tokens,
    top_logprobs: tokens.map((token) => ({ [token]: LOGPROB })),
  }
}

/** Ids of some tokens of a choice when the request asks for them, else null. */
export function tokenIds(body: Body, { answer }: Choice, first: number, count: number): readonly number[] | null {
  if (body['return_token_ids'] !== true) return null
  return Array.from({ length: count }, (_, i) => answer.id(first + i))
}

/** Ids of the prompt of a choice when the request asks for them, else null. */
export function promptTokenIds(body: Body, choice: Choice | undefined): readonly number[] | null {
  return body['return_token_ids'] === true && choice !== undefined ? [...choice.ticket.work.promptTokens] : null
}
