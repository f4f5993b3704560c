import type { SimCore } from '#sim/api/exchange.ts'

/** One entry of vLLM's `/v1/models`. */
export interface ModelCard {
  readonly id: string
  /** The base model of an adapter, null for a base model. */
  readonly parent: string | null
  readonly [field: string]: unknown
}

/** All served names and loaded adapters, base models first, as vLLM lists them. */
export function modelCards(core: SimCore): ModelCard[] {
  const { models, baseModel, maxModelLen } = core.settings
  const card = (
    id: string,
    fields: { root: string; parent: string | null; max_model_len: number | null },
  ): ModelCard => ({
    id,
    object: 'model',
    created: Math.floor(core.startedS),
    owned_by: 'vllm',
    ...fields,
    permission: [permission(core, id)],
  })
  return [
    ...models.map((id) => card(id, { root: baseModel, parent: null, max_model_len: maxModelLen })),
    ...core.adapters.list().map(({ name, path }) => card(name, { root: path, parent: baseModel, max_model_len: null })),
  ]
}

function permission(core: SimCore, id: string): unknown {
  return {
    id: `modelperm-${Buffer.from(id).toString('hex').padStart(16, '0').slice(-16)}`,
    object: 'model_permission',
    created: Math.floor(core.startedS),
    allow_create_engine: false,
    allow_sampling: true,
    allow_logprobs: true,
    allow_search_indices: false,
    allow_view: true,
    allow_fine_tuning: false,
    organization: '*',
    group: null,
    is_blocking: false,
  }
}
