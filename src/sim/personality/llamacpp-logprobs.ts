import type { Choice } from '#sim/api/generation.ts'

/** The field `logprobs` of some tokens of a choice when the request asks for it, else no field. All alternatives are alike. */
export function llamacppLogprobs(
  body: Readonly<Record<string, unknown>>,
  { answer }: Choice,
  first: number,
  count: number,
): Readonly<Record<string, unknown>> {
  const { logprobs, top_logprobs: top } = body
  const wanted = logprobs === true ? Number(top ?? 0) : Number(logprobs ?? 0)
  if (logprobs !== true && !(wanted > 0)) return {}
  const content = Array.from({ length: count }, (_, i) => {
    const entry = { id: answer.id(first + i), ...tokenEntry(answer.piece(first + i)) }
    return { ...entry, top_logprobs: Array.from({ length: wanted }, () => entry) }
  })
  return { logprobs: { content } }
}

function tokenEntry(token: string) {
  return { token, bytes: [...Buffer.from(token)], logprob: -1 }
}
