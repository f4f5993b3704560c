import type { BaseUrl } from '#config/base-url.ts'
import { hintFor } from '#config/issue-problems.ts'
import type { SecretObject } from '#config/manifests/cluster-schemas.ts'
import type { ExternalModelProviderObject } from '#config/manifests/external-model-provider-schema.ts'
import type { Manifest, Manifests } from '#config/manifests/read-manifests.ts'
import type { ModelServerPlan, ProviderPlan, UpstreamTls } from '#config/snapshot.ts'
import type { DialectName } from '#core/api.ts'
import { endpointsOf } from './endpoints.ts'
import { complain, type Findings, type Spot } from './findings.ts'
import { defaultEjection, defaultRetry, defaultTimeouts } from './model-server.ts'
import { credentialHeader, credentialHeaders, isHeaderValue, type SetHeader, setHeadersOf } from './set-headers.ts'

/** Label without which a Secret is not a provider's credential (kthena-router.md 1.3). */
const credentialLabel = 'networking.serving.volcano.sh/external-model-provider-credential'

/** Key of a provider among the model servers of a snapshot: apart from a ModelServer of the same name. */
export function providerKey(key: string): string {
  return `provider:${key}`
}

/** Where an API begins: what goes before the request path, and whether that path loses its `/v1`. */
export interface ApiRoot {
  readonly basePath: string
  readonly dropsVersion: boolean
}

/**
 * A base URL ends where the paths of its API begin: `/v1/chat/completions` behind `https://host/openai/v1` is
 * `/openai/v1/chat/completions`. A path that does not end in `/v1` has a version of its own for OpenAI's protocol, so
 * the `/v1` of the request is left out; Anthropic's keeps it (kthena-router.md 2.7).
 */
export function apiRoot(url: BaseUrl, dialect: DialectName): ApiRoot {
  if (url.path === '/v1' || url.path.endsWith('/v1')) return { basePath: url.path.slice(0, -3), dropsVersion: false }
  return { basePath: url.path, dropsVersion: dialect === 'openai' && url.path !== '' }
}

/** What a provider is, whichever form of configuration it comes from. */
export interface ProviderFacts {
  readonly key: string
  readonly dialect: DialectName
  readonly url: BaseUrl
  readonly servedModel: string | undefined
  readonly tls: Partial<UpstreamTls>
  readonly setHeaders: readonly SetHeader[]
}

const plainTls: UpstreamTls = {
  ca: undefined,
  serverName: undefined,
  certificate: undefined,
  insecureSkipVerify: false,
}

/** A provider as a model server of one endpoint. It is neither scraped nor probed. */
export function providerPlan(facts: ProviderFacts): ModelServerPlan & { readonly provider: ProviderPlan } {
  const { key, dialect, url, servedModel, setHeaders } = facts
  const { basePath, dropsVersion } = apiRoot(url, dialect)
  const address = { host: url.host, port: url.port, rank: undefined, role: 'both', labels: {} } as const
  return {
    key,
    engine: 'openai',
    servedModel,
    endpoints: endpointsOf({ ...address, engine: 'openai', scrape: undefined }, 1),
    tls: url.isTls ? { ...plainTls, ...facts.tls } : undefined,
    basePath,
    setHeaders,
    timeouts: defaultTimeouts,
    retry: defaultRetry,
    ejection: defaultEjection,
    profile: 'default',
    scrape: undefined,
    injectUsage: dialect === 'openai',
    provider: { dialect, dropsVersion },
  }
}

/** An ExternalModelProvider with its credential. */
export function translateProvider(
  manifest: Manifest<ExternalModelProviderObject>,
  manifests: Manifests,
  findings: Findings,
): ModelServerPlan {
  const { document, key, value } = manifest
  const { providerType, baseURL, model, insecureSkipVerify, headers } = value.spec
  const dialect = providerType === 'Anthropic' ? 'anthropic' : 'openai'
  const reserved = credentialHeaders
  const credential = credentialOf(manifest, manifests, findings)
  const spot = { document, path: ['spec', 'headers'] }
  return providerPlan({
    key: providerKey(key),
    dialect,
    url: baseURL,
    servedModel: model === undefined || model === '' ? undefined : model,
    tls: { insecureSkipVerify },
    setHeaders: [...(credential === undefined ? [] : [credential]), ...setHeadersOf(headers, reserved, spot, findings)],
  })
}

function credentialOf(
  { document, value }: Manifest<ExternalModelProviderObject>,
  { secrets, refused }: Manifests,
  findings: Findings,
): SetHeader | undefined {
  const { auth, providerType } = value.spec
  if (auth === undefined) return undefined
  const { name, key } = auth.secretRef
  const { namespace } = value.metadata
  const at = (field: string): Spot => ({ document, path: ['spec', 'auth', 'secretRef', field] })
  const secret = secrets.find((candidate) => candidate.key === `${namespace}/${name}`)
  if (secret === undefined) {
    if (refused.has(`Secret ${namespace}/${name}`)) return undefined
    const names = secrets
      .filter((one) => one.value.metadata.namespace === namespace)
      .map((one) => one.value.metadata.name)
    const message = `no Secret '${name}' in namespace '${namespace}'`
    complain(findings, at('name'), message, { hint: hintFor(name, names, 'Secrets of that namespace') })
    return undefined
  }
  if (secret.value.metadata.labels[credentialLabel] !== 'true') {
    const hint = `the provider ${value.metadata.name} refers to it; only a Secret that says so is read`
    const message = `Secret '${name}' needs the label ${credentialLabel}: "true"`
    complain(findings, { document: secret.document, path: ['metadata', 'labels'] }, message, { hint, spot: 'key' })
  }
  const credential = secretValue(secret.value, key)
  if (typeof credential === 'object') {
    const keys = Object.keys({ ...secret.value.data, ...secret.value.stringData })
    const hint = keys.includes(key) ? undefined : hintFor(key, keys, 'keys of that Secret')
    complain(findings, at('key'), `Secret '${name}' ${credential.fails}`, { hint })
    return undefined
  }
  const scheme = auth.scheme ?? (providerType === 'Anthropic' ? 'APIKey' : 'Bearer')
  return credentialHeader(scheme === 'APIKey' ? 'anthropic' : 'openai', credential)
}

/** The value under a key of a Secret, trimmed; `fails` follows "Secret NAME". */
function secretValue(secret: SecretObject, key: string): string | { readonly fails: string } {
  const encoded = secret.data?.[key]
  let plain = secret.stringData?.[key]
  if (plain === undefined && encoded !== undefined) {
    const compact = encoded.replace(/\s/g, '')
    if (!/^[A-Za-z0-9+/]*={0,2}$/.test(compact) || compact.length % 4 !== 0) {
      return { fails: `has no valid base64 under '${key}'` }
    }
    plain = Buffer.from(compact, 'base64').toString('latin1')
  }
  if (plain === undefined) return { fails: `has no key '${key}'` }
  const trimmed = plain.trim()
  if (trimmed === '') return { fails: `has nothing under '${key}'` }
  return isHeaderValue(trimmed) ? trimmed : { fails: `has a value under '${key}' that no header can carry` }
}
