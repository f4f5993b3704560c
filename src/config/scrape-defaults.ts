import type { EngineName } from '#core/endpoint.ts'

/** Where an engine has its metrics page. */
export interface ScrapeDefault {
  readonly path: string
  /** Undefined means the port of the API. */
  readonly port: number | undefined
}

/** Pause between two scrapes unless configured, in milliseconds. */
export const defaultScrapeIntervalMs = 200

/** Metrics pages of the engines (model-servers.md 0); undefined for those that have none. */
export const scrapeDefaults: Readonly<Record<EngineName, ScrapeDefault | undefined>> = {
  vllm: { path: '/metrics', port: undefined },
  sglang: { path: '/metrics', port: undefined },
  tgi: { path: '/metrics', port: undefined },
  triton: { path: '/metrics', port: 8002 },
  trtllm: { path: '/prometheus/metrics', port: undefined },
  llamacpp: { path: '/metrics', port: undefined },
  ollama: undefined,
  openai: undefined,
}
