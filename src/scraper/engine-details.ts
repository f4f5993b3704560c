/** What `GET /v1/models` says beyond names. */
export interface ModelsAnswer {
  /** Adapters that requests can name: cards with a parent. */
  readonly adapters: readonly string[]
  /** Longest prompt plus output in tokens, of the first base model that tells. */
  readonly maxModelLen: number | undefined
}

/** Longest document parsed: a card has about 500 bytes. */
const maxBytes = 512 * 1024
const maxCards = 1024
const maxNameLength = 256

/** Reads a list of models as vLLM and SGLang write it (model-servers.md 1.1.2); undefined when it is none. */
export function readModelsAnswer(body: Buffer): ModelsAnswer | undefined {
  const cards = listField(parseJson(body), 'data')
  if (cards === undefined) return undefined
  const adapters: string[] = []
  let maxModelLen: number | undefined
  for (const card of cards.slice(0, maxCards)) {
    const id = field(card, 'id')
    if (typeof id !== 'string' || id.length > maxNameLength) continue
    if (typeof field(card, 'parent') === 'string') adapters.push(id)
    else maxModelLen ??= countOf(field(card, 'max_model_len'))
  }
  return { adapters, maxModelLen }
}

/** Reads `total_slots` of llama.cpp's /props; undefined when there is none. */
export function readTotalSlots(body: Buffer): number | undefined {
  return countOf(field(parseJson(body), 'total_slots'))
}

function parseJson(body: Buffer): unknown {
  if (body.length > maxBytes) return undefined
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined
}

function listField(value: unknown, name: string): unknown[] | undefined {
  const list = field(value, name)
  return Array.isArray(list) ? list : undefined
}

function countOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 ? value : undefined
}
