import { type Refusal, refuse } from '#core/refusal.ts'
import type { ListedModel } from '#route/list-models.ts'

/** `GET /v1/models`: every model and adapter that can be reached. Built once per snapshot. */
export interface ModelsPage {
  readonly list: Buffer
  /** One card per id. */
  readonly cards: ReadonlyMap<string, Buffer>
}

const listPath = '/v1/models'

/** Renders the pages. `createdS` is when the snapshot came into force, Unix seconds. */
export function renderModels(models: readonly ListedModel[], createdS: number): ModelsPage {
  const cards = models.map(({ id, parent }) => ({
    id,
    object: 'model',
    created: createdS,
    owned_by: 'infer-gateway',
    ...(parent === undefined ? {} : { parent }),
  }))
  return {
    list: Buffer.from(JSON.stringify({ object: 'list', data: cards })),
    cards: new Map(cards.map((card) => [card.id, Buffer.from(JSON.stringify(card))])),
  }
}

/** Whether a path asks for models. */
export function isModelsPath(path: string): boolean {
  return path === listPath || path.startsWith(`${listPath}/`)
}

/** The document behind a models path, or why there is none. */
export function modelsDocument(page: ModelsPage, method: string, path: string): Buffer | Refusal {
  if (method !== 'GET' && method !== 'HEAD')
    return refuse('method-not-allowed', `${path.slice(0, 200)} takes GET only.`)
  if (path === listPath) return page.list
  const id = decode(path.slice(listPath.length + 1))
  const card = page.cards.get(id)
  return (
    card ??
    refuse('unknown-model', `The model '${id.slice(0, 256)}' does not exist. GET /v1/models lists all.`, {
      param: 'model',
    })
  )
}

/** Ids may hold slashes, sent as they are or escaped. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
