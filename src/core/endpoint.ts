/** Model-server software the gateway knows. `openai` is anything that speaks that API and says nothing of its load. */
export const engineNames = ['vllm', 'sglang', 'tgi', 'triton', 'trtllm', 'llamacpp', 'ollama', 'openai'] as const

/** Name of an engine profile. */
export type EngineName = (typeof engineNames)[number]

/** Health of an endpoint as last learned from its scrape: the value stored in the endpoint table. */
export const health = { unknown: 0, ready: 1, unready: 2 } as const

/** Role in prefill/decode disaggregation; `both` is the usual, aggregated, case. */
export type EndpointRole = 'both' | 'prefill' | 'decode'
