import type { DialectName } from '#core/api.ts'

/** A provider whose address and credential header are known. */
export interface KnownProvider {
  readonly dialect: DialectName
  /** Base URL of its API, as its own documentation gives it to OpenAI or Anthropic clients. */
  readonly baseUrl: string
}

/**
 * Providers that speak the OpenAI or Anthropic protocol as it is: nothing is translated for them. Any other is reached
 * with `provider: openai` (or `anthropic`) and its own `baseUrl`.
 */
export const knownProviders = {
  openai: { dialect: 'openai', baseUrl: 'https://api.openai.com/v1' },
  anthropic: { dialect: 'anthropic', baseUrl: 'https://api.anthropic.com' },
  cerebras: { dialect: 'openai', baseUrl: 'https://api.cerebras.ai/v1' },
  deepinfra: { dialect: 'openai', baseUrl: 'https://api.deepinfra.com/v1/openai' },
  deepseek: { dialect: 'openai', baseUrl: 'https://api.deepseek.com/v1' },
  fireworks: { dialect: 'openai', baseUrl: 'https://api.fireworks.ai/inference/v1' },
  gemini: { dialect: 'openai', baseUrl: 'https://generativelanguage.googleapis.com/v1beta/openai' },
  groq: { dialect: 'openai', baseUrl: 'https://api.groq.com/openai/v1' },
  huggingface: { dialect: 'openai', baseUrl: 'https://router.huggingface.co/v1' },
  mistral: { dialect: 'openai', baseUrl: 'https://api.mistral.ai/v1' },
  openrouter: { dialect: 'openai', baseUrl: 'https://openrouter.ai/api/v1' },
  together: { dialect: 'openai', baseUrl: 'https://api.together.xyz/v1' },
  xai: { dialect: 'openai', baseUrl: 'https://api.x.ai/v1' },
} as const satisfies Record<string, KnownProvider>

/** Name of a known provider. */
export type ProviderName = keyof typeof knownProviders

/** All of them. */
export const providerNames = Object.keys(knownProviders) as [ProviderName, ...ProviderName[]]
