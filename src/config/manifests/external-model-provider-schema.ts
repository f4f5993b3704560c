import { z } from 'zod'
import { baseUrl } from '#config/schema/model-schema.ts'
import { anyText, flag, oneOf, strict, text } from '#config/schema/scalars.ts'
import { nativeObject } from './object-meta.ts'

// Fields, bounds and defaults: kthena-router.md 1.3.

const secretRefSchema = strict({
  name: text(253).describe('Secret of the same namespace.'),
  key: text(253).describe('Key in it.'),
  optional: flag()
    .refine((value) => !value, 'must be false or left out: a provider without its credential cannot work')
    .optional()
    .describe('`false`.'),
})

/** An ExternalModelProvider. */
export const externalModelProviderSchema = nativeObject(
  strict({
    providerType: oneOf(['OpenAI', 'Anthropic']).prefault('OpenAI').describe('Protocol that the provider speaks.'),
    model: anyText(256).optional().describe("The provider's name for the model.").meta({ defaultText: "the client's" }),
    baseURL: baseUrl()
      .refine((url) => url.isTls, 'must begin with https://')
      .describe('Base URL of the API.'),
    insecureSkipVerify: flag().prefault(false).describe('Skips every check of the certificate.'),
    auth: strict({
      scheme: oneOf(['Bearer', 'APIKey'])
        .optional()
        .describe('`Authorization: Bearer` or `x-api-key`.')
        .meta({ defaultText: 'by provider type' }),
      secretRef: secretRefSchema.describe('Where the credential is.'),
    })
      .optional()
      .describe('Credential.'),
    headers: z.record(z.string(), anyText(8192)).prefault({}).describe('Headers set on every request; no credentials.'),
  }),
)

/** An ExternalModelProvider as read. */
export type ExternalModelProviderObject = z.output<typeof externalModelProviderSchema>
