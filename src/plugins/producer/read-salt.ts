import type { ScheduleRequest } from '#contracts/schedule.ts'

/** Bytes of a body beside its prompt that are looked through. */
const maxOtherBytes = 16 * 1024

/** Members that change the tokens of a prompt in ways only the engine knows. */
const others =
  /"(?:chat_template|chat_template_kwargs|add_generation_prompt|continue_final_message|add_special_tokens|documents|functions|mm_processor_kwargs|truncate_prompt_tokens|reasoning_effort|prompt_embeds)"\s*:/

const noSalt: PromptSalt = { cacheSalt: undefined }

const saltMember = /"cache_salt"\s*:\s*("(?:[^"\\]|\\.)*")/

/** What a body says beside its prompt that matters to what the engine has cached. */
export interface PromptSalt {
  /** What the client keeps its prompts apart with; undefined: nothing. */
  readonly cacheSalt: string | undefined
}

/** Reads the salt of a request; undefined when its body says something that changes what the engine makes of the prompt. */
export function readSalt({ body, promptSpans, promptBytes }: ScheduleRequest): PromptSalt | undefined {
  if (body.bytes - promptBytes > maxOtherBytes) return undefined
  let text = ''
  let at = 0
  for (const { start, end } of promptSpans) {
    text += rangeText(body.slices, at, start)
    at = end
  }
  text += rangeText(body.slices, at, body.bytes)
  if (others.test(text)) return undefined
  const literal = saltMember.exec(text)?.[1]
  if (literal === undefined) return text.includes('"cache_salt"') ? undefined : noSalt
  try {
    return { cacheSalt: JSON.parse(literal) as string }
  } catch {
    return undefined
  }
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
