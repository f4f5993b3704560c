import type { BaseUrl } from '#config/base-url.ts'
import { knownProviders } from '#config/providers.ts'
import type { EndpointConfig, ModelConfig } from '#config/schema/model-schema.ts'
import type { EndpointPlan, ModelServerPlan, UpstreamTls } from '#config/snapshot.ts'
import type { DialectName } from '#core/api.ts'
import { ejectionPlanOf } from './ejection-plan.ts'
import { type Address, endpointsOf, kvEventsOf, scrapePlanOf } from './endpoints.ts'
import { providerPlan } from './external-model-provider.ts'
import { below, complain, type Findings, type Spot, warn } from './findings.ts'
import { pairOf, pemOf, type ReadFile } from './gateway-settings.ts'
import { credentialHeader, isHeaderValue, type SetHeader, setHeadersOf } from './set-headers.ts'
import { modelKey, type NamedModel } from './short-form.ts'

/** What the translation of a model asks for. */
export interface ServerPorts {
  readonly readFile: ReadFile
  /** Addresses that a DNS name had last; empty when it has none or was never looked up. */
  readonly addresses: (name: string) => readonly string[]
  readonly findings: Findings
  /** Clock.wallMs; undefined leaves alone whether certificates are in date. */
  readonly nowMs: number | undefined
}

/** The model server of a model with endpoints or with a provider. */
export function translateModel(named: NamedModel, ports: ServerPorts): ModelServerPlan {
  return named.model.provider === undefined ? engineServer(named, ports) : providerServer(named, ports)
}

function waitsOf({ timeouts, retry, ejection }: ModelConfig): Pick<ModelServerPlan, 'timeouts' | 'retry' | 'ejection'> {
  const { connect, firstByte, idle, total, tunnelIdle } = timeouts
  return {
    timeouts: {
      connectMs: connect,
      firstByteMs: firstByte,
      idleMs: idle,
      totalMs: total,
      tunnelIdleMs: tunnelIdle,
    },
    retry: { attempts: retry.attempts, intervalMs: retry.interval, afterSent: retry.afterSent },
    ejection: ejectionPlanOf(ejection),
  }
}

function providerServer({ name, model, spot }: NamedModel, ports: ServerPorts): ModelServerPlan {
  const { dialect, baseUrl } = knownProviders[model.provider ?? 'openai']
  const url = model.baseUrl ?? urlOf(baseUrl)
  if (model.apiKey === undefined) {
    const message = `no apiKey: requests reach ${url.host} with whatever credential the client sends`
    warn(ports.findings, below(spot, 'provider'), message)
  }
  const plan = providerPlan({
    key: modelKey(name),
    dialect,
    url,
    servedModel: model.servedModel ?? name,
    tls: upstreamTls(model, url.isTls, spot, ports) ?? {},
    setHeaders: headersOf(model, dialect, spot, ports.findings),
  })
  const { profile = 'default', injectUsage = plan.injectUsage } = model
  return { ...plan, ...waitsOf(model), profile, injectUsage }
}

function urlOf(text: string): BaseUrl {
  const { hostname, pathname } = new URL(text)
  return { isTls: true, host: hostname, port: 443, path: pathname === '/' ? '' : pathname }
}

function engineServer(named: NamedModel, ports: ServerPorts): ModelServerPlan {
  const { name, model, spot } = named
  const { findings } = ports
  const { engine = 'openai', endpoints: configs = [], profile = 'default', injectUsage = true } = model
  const items = configs.flatMap((config, index) => itemOf(config, below(spot, 'endpoints', index), ports) ?? [])
  const [first] = items
  for (const item of items) checkAlike(item, first ?? item, findings)
  return {
    key: modelKey(name),
    engine,
    servedModel: model.servedModel ?? name,
    endpoints: endpointsOfItems(items, named, findings),
    tls: upstreamTls(model, first?.isTls ?? false, spot, ports),
    basePath: first?.path ?? '',
    setHeaders: headersOf(model, 'openai', spot, findings),
    ...waitsOf(model),
    profile,
    scrape: scrapePlanOf(engine, model.scrape, below(spot, 'scrape'), findings),
    injectUsage,
  }
}

/** The endpoints of all entries, each once: two names may have an address in common, but nothing is written twice. */
function endpointsOfItems(items: readonly Item[], named: NamedModel, findings: Findings): EndpointPlan[] {
  const { dataParallel } = named.model
  const byId = new Map<string, EndpointPlan>()
  for (const item of items) {
    if (dataParallel > 1 && item.config?.rank !== undefined) {
      complain(findings, below(item.spot, 'rank'), "'rank' has no meaning beside 'dataParallel'", { spot: 'key' })
    }
    const addresses = item.hosts.map((host) => addressOf(host, item, named, findings))
    for (const plan of addresses.flatMap((address) => endpointsOf(address, dataParallel))) {
      if (!byId.has(plan.id)) byId.set(plan.id, plan)
      else if (item.config?.dns === undefined) complain(findings, item.spot, 'this endpoint stands here a second time')
    }
  }
  return [...byId.values()]
}

/** An entry of `endpoints`: one address, or all that a DNS name has now. */
interface Item {
  readonly spot: Spot
  readonly isTls: boolean
  readonly hosts: readonly string[]
  readonly port: number
  readonly path: string
  /** Undefined for a bare URL. */
  readonly config: EndpointConfig | undefined
}

function itemOf(config: BaseUrl | EndpointConfig, spot: Spot, { addresses, findings }: ServerPorts): Item | undefined {
  if ('isTls' in config) return urlItem(config, undefined, spot)
  const { url, dns } = config
  if ((url === undefined) === (dns === undefined)) {
    const message =
      url === undefined ? "this endpoint has neither 'url' nor 'dns'" : "this endpoint has both 'url' and 'dns'"
    complain(findings, spot, message, { hint: 'give one of them' })
    return undefined
  }
  if (url !== undefined) return urlItem(url, config, spot)
  if (dns === undefined) return undefined
  const { name, port, protocol } = dns
  if (config.rank !== undefined) {
    complain(findings, below(spot, 'rank'), "'rank' has no meaning beside 'dns'", { spot: 'key' })
  }
  return { spot, isTls: protocol === 'https', hosts: addresses(name), port, path: '', config }
}

function urlItem({ isTls, host, port, path }: BaseUrl, config: EndpointConfig | undefined, spot: Spot): Item {
  // Clients of the API write its base URL with the version, which every request path brings along here.
  return { spot, isTls, hosts: [host], port, path: path.replace(/\/v1$/, ''), config }
}

/** The endpoints of a model share one connection pool configuration: protocol and path are the model's. */
function checkAlike(item: Item, first: Item, findings: Findings): void {
  const hint = 'make two models of it, and a third that splits requests between them'
  if (item.isTls !== first.isTls) {
    complain(findings, item.spot, 'the endpoints of one model are all http:// or all https://', { hint })
  } else if (item.path !== first.path) {
    complain(findings, item.spot, 'the endpoints of one model have the same path in their URLs', { hint })
  }
}

function addressOf(host: string, { config, port, spot }: Item, named: NamedModel, findings: Findings): Address {
  const { model } = named
  const engine = config?.engine ?? model.engine ?? 'openai'
  const own = config?.scrape
  // The path of another engine's page is not this one's.
  const inherited = engine === (model.engine ?? 'openai') || model.scrape === false ? model.scrape : undefined
  const scrapeSpot = below(own === undefined ? named.spot : spot, 'scrape')
  const scrape = scrapePlanOf(engine, own ?? inherited, scrapeSpot, findings)
  const kvEvents = kvEventsOf(config?.kvEvents ?? model.kvEvents)
  return { host, port, engine, scrape, ...kvEvents, ...ownOf(config) }
}

/** What only an entry itself says of its endpoints. */
function ownOf(config: EndpointConfig | undefined): Pick<Address, 'rank' | 'role' | 'labels' | 'capacity'> {
  const { rank, role = 'both', labels = {}, capacity } = config ?? {}
  return { rank, role, labels, ...(capacity === undefined ? {} : { capacity }) }
}

function upstreamTls(model: ModelConfig, isTls: boolean, spot: Spot, ports: ServerPorts): UpstreamTls | undefined {
  const { tls } = model
  if (!isTls) {
    if (tls !== undefined) {
      const hint = 'begin the URLs with https://, or remove tls'
      complain(ports.findings, below(spot, 'tls'), "'tls' has no meaning for http:// endpoints", { spot: 'key', hint })
    }
    return undefined
  }
  const caSpot = below(spot, 'tls', 'caFile')
  return {
    certificate: ownCertificate(model, spot, ports),
    ca: tls?.caFile === undefined ? undefined : pemOf(tls.caFile, 'CERTIFICATE', caSpot, ports),
    serverName: tls?.serverName,
    insecureSkipVerify: tls?.insecureSkipVerify ?? false,
  }
}

/** What the gateway shows to engines; certificate and key go together. */
function ownCertificate({ tls }: ModelConfig, spot: Spot, ports: ServerPorts): UpstreamTls['certificate'] {
  const { certFile, keyFile } = tls ?? {}
  if (certFile !== undefined && keyFile !== undefined) {
    return pairOf({ certFile, keyFile }, below(spot, 'tls'), ports)
  }
  if (certFile !== undefined || keyFile !== undefined) {
    complain(ports.findings, below(spot, 'tls'), "'certFile' and 'keyFile' go together", { spot: 'key' })
  }
  return undefined
}

function headersOf(model: ModelConfig, dialect: DialectName, spot: Spot, findings: Findings): SetHeader[] {
  const { apiKey, headers } = model
  if (apiKey !== undefined && !isHeaderValue(apiKey)) {
    complain(findings, below(spot, 'apiKey'), "'apiKey' has characters that a header must not have")
    return []
  }
  const credential = apiKey === undefined ? [] : [credentialHeader(dialect, apiKey)]
  const reserved = new Set(credential.map(({ name }) => name))
  return [...credential, ...setHeadersOf(headers, reserved, below(spot, 'headers'), findings)]
}
