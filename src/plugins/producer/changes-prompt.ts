import type { ScheduleRequest } from '#contracts/schedule.ts'

/** Bytes of a body beside its prompt that are looked through. */
const maxOtherBytes = 16 * 1024

/** Members that change the tokens of a prompt in ways only the engine knows. */
const others =
  /"(?:chat_template|chat_template_kwargs|add_generation_prompt|continue_final_message|add_special_tokens|documents|functions|mm_processor_kwargs|truncate_prompt_tokens|reasoning_effort|prompt_embeds)"\s*:/

/**
 * Whether a body may say something that changes what the engine makes of the prompt: it has such a member, parts that are
 * no text, or too much beside its prompt to be looked through.
 */
export function changesPrompt({ body, promptSpans }: ScheduleRequest): boolean {
  let otherBytes = body.bytes
  for (const { start, end, countsAs } of promptSpans) {
    if (countsAs !== undefined) return true
    otherBytes -= end - start
  }
  if (otherBytes > maxOtherBytes) return true
  let text = ''
  let at = 0
  for (const { start, end } of promptSpans) {
    text += rangeText(body.slices, at, start)
    at = end
  }
  return others.test(text + rangeText(body.slices, at, body.bytes))
}

function rangeText(slices: readonly Buffer[], from: number, to: number): string {
  let text = ''
  let base = 0
  for (const slice of slices) {
    if (base >= to) break
    const end = base + slice.length
    if (end > from) text += slice.toString('latin1', Math.max(0, from - base), Math.min(slice.length, to - base))
    base = end
  }
  return text
}
