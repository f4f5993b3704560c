import { dirname, resolve } from 'node:path'
import type { FileText } from '#config/read-source.ts'
import {
  adminSchema,
  type LimitsConfig,
  type ListenerConfig,
  limitsSchema,
  listenerSchema,
  logSchema,
  schedulerSchema,
} from '#config/schema/gateway-schema.ts'
import type { ShortForm } from '#config/schema/short-form-schema.ts'
import type {
  AdminPlan,
  CertificatePair,
  CorsPlan,
  ExplainPlan,
  Limits,
  ListenerPlan,
  ListenerTls,
  LoggingPlan,
  SessionSource,
} from '#config/snapshot.ts'
import { checkPair } from './certificate-check.ts'
import { below, complain, type Findings, type Spot } from './findings.ts'
import { sessionsOf } from './sessions.ts'

/** Settings of the process: everything of a snapshot but routes, model servers and profiles. */
export interface GatewaySettings {
  readonly threads: number | undefined
  readonly cors: CorsPlan | undefined
  readonly listeners: readonly ListenerPlan[]
  readonly admin: AdminPlan
  readonly limits: Limits
  readonly logging: LoggingPlan
  readonly exposeEndpoint: boolean
  readonly explain: ExplainPlan
  readonly sessions: readonly SessionSource[]
}

/** A document of the short form with the place it came from. */
export interface ShortFormPart {
  readonly spot: Spot
  readonly value: ShortForm
}

/** Reads a file that a configuration refers to. */
export type ReadFile = (path: string) => FileText

/** Reads the text of a file named at `spot`, relative to the document's own file; complains and returns '' when it cannot. */
export function referencedFile(path: string, readFile: ReadFile, spot: Spot, findings: Findings): string {
  const result = readFile(resolve(dirname(spot.document.file), path))
  if ('text' in result) return result.text
  complain(findings, spot, `file '${path}' ${result.fails}`)
  return ''
}

/** Settings put together from all short-form documents, with defaults for what none of them says. */
export function gatewaySettings(parts: readonly ShortFormPart[], ports: PemPorts): GatewaySettings {
  const { findings } = ports
  const find = <Key extends keyof ShortForm>(key: Key): NonNullable<ShortForm[Key]> | undefined =>
    parts.find(({ value }) => value[key] !== undefined)?.value[key] ?? undefined
  const limits = find('limits') ?? limitsSchema.parse({})
  const scheduler = find('scheduler') ?? schedulerSchema.parse({})
  const log = find('log') ?? logSchema.parse({})
  const settings: GatewaySettings = {
    threads: find('threads'),
    cors: corsOf(parts, findings),
    listeners: listenersOf(parts, limits, ports),
    admin: find('admin') ?? adminSchema.parse({}),
    limits: {
      headBytes: limits.headBytes,
      headerCount: limits.headerCount,
      bodyBytes: limits.bodyBytes,
      headTimeoutMs: limits.headTimeout,
      bodyTimeoutMs: limits.bodyTimeout,
      keepAliveMs: limits.keepAlive,
      requestsPerConnection: limits.requestsPerConnection,
      handshakeTimeoutMs: limits.handshakeTimeout,
      stalledReaderMs: limits.stalledReader,
      unsentBytes: limits.unsentBytes,
      eventLoopDelayMs: limits.eventLoopDelay,
      memoryBytes: limits.memory,
      drainDelayMs: limits.drainDelay,
      drainMs: limits.drain,
    },
    logging: { level: log.level, accessLog: log.access },
    exposeEndpoint: find('exposeEndpoint') ?? false,
    explain: { isAllowed: scheduler.allowExplain, recordEvery: scheduler.recordEvery },
    sessions: gatewaySessions(parts, findings),
  }
  checkAdminPort(settings, parts, findings)
  return settings
}

function gatewaySessions(parts: readonly ShortFormPart[], findings: Findings): readonly SessionSource[] {
  const part = parts.find(({ value }) => value.sessionFrom !== undefined)
  if (part?.value.sessionFrom === undefined) return [{ from: 'body', name: '' }]
  return sessionsOf(part.value.sessionFrom, below(part.spot, 'sessionFrom'), findings)
}

function listenersOf(parts: readonly ShortFormPart[], limits: LimitsConfig, ports: PemPorts): ListenerPlan[] {
  const { findings } = ports
  const part = parts.find(({ value }) => value.listeners !== undefined)
  if (part?.value.listeners === undefined) return [listenerPlan(listenerSchema.parse({}), limits, undefined)]
  const plans: ListenerPlan[] = []
  for (const [index, listener] of part.value.listeners.entries()) {
    const spot = below(part.spot, 'listeners', index)
    const plan = listenerPlan(listener, limits, listenerTls(listener, below(spot, 'tls'), ports))
    const twin = plans.find((other) => areSame(other, plan))
    if (plans.some(({ name }) => name === plan.name) && listener.name !== undefined) {
      complain(findings, below(spot, 'name'), `two listeners are named '${plan.name}'`)
    } else if (twin !== undefined) {
      complain(findings, below(spot, 'port'), `two listeners use port ${plan.port} of ${plan.address}`)
    }
    plans.push(plan)
  }
  return plans
}

function listenerPlan(listener: ListenerConfig, limits: LimitsConfig, tls: ListenerTls | undefined): ListenerPlan {
  const { address, port, proxyProtocol, trustedProxies } = listener
  return {
    name: listener.name ?? `${tls === undefined ? 'http' : 'https'}-${port}`,
    address,
    port,
    tls,
    http2: listener.http2 ?? tls !== undefined,
    proxyProtocol,
    trustedProxies,
    connections: listener.connections ?? limits.connections,
    connectionsPerClient: listener.connectionsPerClient ?? limits.connectionsPerClient,
  }
}

function listenerTls({ tls }: ListenerConfig, spot: Spot, ports: PemPorts): ListenerTls | undefined {
  if (tls === undefined) return undefined
  const { certFile, keyFile, clientCaFile, clientAuth, minVersion } = tls
  const files = tls.certificates.map((pair, index) => ({ pair, spot: below(spot, 'certificates', index) }))
  if (certFile !== undefined && keyFile !== undefined) files.unshift({ pair: { certFile, keyFile }, spot })
  else if (certFile !== undefined || keyFile !== undefined || files.length === 0) {
    const hint = "give both, or 'certificates' with at least one"
    complain(ports.findings, spot, "'tls' needs 'certFile' and 'keyFile'", { spot: 'key', hint })
  }
  // Without an authority nobody is asked for a certificate: who wrote this believes otherwise.
  if (clientAuth !== undefined && clientCaFile === undefined) {
    const hint = "name the authority of the clients' certificates with 'clientCaFile', or remove it"
    complain(ports.findings, below(spot, 'clientAuth'), "'clientAuth' needs 'clientCaFile'", { hint })
  }
  return {
    certificates: files.map((file) => pairOf(file.pair, file.spot, ports)),
    clientCa:
      clientCaFile === undefined ? undefined : pemOf(clientCaFile, 'CERTIFICATE', below(spot, 'clientCaFile'), ports),
    clientAuth: clientAuth ?? 'required',
    minVersion: `TLSv${minVersion}`,
  }
}

function corsOf(parts: readonly ShortFormPart[], findings: Findings): CorsPlan | undefined {
  const part = parts.find(({ value }) => value.cors !== undefined)
  if (part?.value.cors === undefined) return undefined
  const { origins, headers, exposedHeaders, credentials, maxAge } = part.value.cors
  if (credentials && origins.includes('*')) {
    const hint = "name the origins, or leave 'credentials' out"
    complain(findings, below(part.spot, 'cors', 'credentials'), "browsers refuse 'credentials' for origin '*'", {
      hint,
    })
  }
  for (const [index, origin] of origins.entries()) {
    const meant = originSent(origin)
    if (meant === origin.toLowerCase()) continue
    const example = meant ?? 'https://chat.example.com'
    const hint = meant === undefined ? `an origin has a scheme and a host, such as '${example}'` : `write '${example}'`
    const message = `no browser sends item ${index + 1} of 'origins' as an origin`
    complain(findings, below(part.spot, 'cors', 'origins', index), message, { hint })
  }
  return {
    origins: origins.map((origin) => origin.toLowerCase()),
    headers: headers?.map((name) => name.toLowerCase()),
    exposedHeaders,
    credentials,
    maxAgeMs: maxAge,
  }
}

/** The origin as browsers spell it (RFC 6454 6.2): no path, no default port; undefined when it cannot be one. */
function originSent(origin: string): string | undefined {
  if (origin === '*' || origin === 'null') return origin
  if (!/^[a-z][a-z\d+.-]*:\/\/[^/?#@\s]/i.test(origin) || !URL.canParse(origin)) return undefined
  const { origin: known, protocol, host } = new URL(origin)
  // Schemes that the URL standard does not know, such as those of browser extensions.
  return known === 'null' ? `${protocol}//${host}` : known
}

/** What PEM files are read and judged with. */
export interface PemPorts {
  readonly readFile: ReadFile
  readonly findings: Findings
  /** Clock.wallMs; undefined leaves alone whether certificates are in date. */
  readonly nowMs: number | undefined
}

/** The texts of a certificate and its key, whose files are named at `spot`; checked when both can be read. */
export function pairOf(files: PairFiles, spot: Spot, ports: PemPorts): CertificatePair {
  const { certFile, keyFile } = files
  const [certSpot, keySpot] = [below(spot, 'certFile'), below(spot, 'keyFile')]
  const before = ports.findings.problems.length
  const cert = pemOf(certFile, 'CERTIFICATE', certSpot, ports)
  const key = pemOf(keyFile, 'PRIVATE KEY', keySpot, ports)
  if (ports.findings.problems.length === before) {
    checkPair({ pair: { cert, key }, certFile, keyFile, certSpot, keySpot }, ports.nowMs, ports.findings)
  }
  return { cert, key }
}

interface PairFiles {
  readonly certFile: string
  readonly keyFile: string
}

/** The text of a PEM file; `label` ends the label of the block that must be in it. */
export function pemOf(path: string, label: string, spot: Spot, { readFile, findings }: PemPorts): string {
  const pem = referencedFile(path, readFile, spot, findings)
  const block = new RegExp(`-----BEGIN (?:[A-Z ]+ )?${label}-----`)
  if (pem !== '' && !block.test(pem)) complain(findings, spot, `file '${path}' has no PEM block 'BEGIN ${label}'`)
  return pem
}

function areSame(a: { address: string; port: number }, b: { address: string; port: number }): boolean {
  if (a.port === 0 || a.port !== b.port) return false
  const isAny = (address: string): boolean => address === '0.0.0.0' || address === '::'
  return a.address === b.address || isAny(a.address) || isAny(b.address)
}

function checkAdminPort(
  { listeners, admin }: GatewaySettings,
  parts: readonly ShortFormPart[],
  findings: Findings,
): void {
  const index = listeners.findIndex((listener) => areSame(listener, admin))
  const part =
    parts.find(({ value }) => value.admin !== undefined) ?? parts.find(({ value }) => value.listeners !== undefined)
  if (index < 0 || part === undefined) return
  const spot =
    part.value.admin === undefined ? below(part.spot, 'listeners', index, 'port') : below(part.spot, 'admin', 'port')
  complain(findings, spot, `port ${admin.port} is wanted by a listener and by the admin server`)
}
