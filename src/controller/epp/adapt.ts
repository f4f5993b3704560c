import type { PluginPlan } from '#config/snapshot.ts'
import { below, complain, type Findings, warn } from '#controller/findings.ts'
import { type Instance, type Instances, referred } from './instances.ts'

type Parameters = Record<string, unknown>

/** The parameters of an instance as the gateway's plug-in takes them, and what else they ask for. */
export interface Adapted {
  readonly parameters: Parameters
  /** Name of the producer that is to tell prefix matches. */
  readonly prefixProducer?: string | undefined
  /** Parameters that belong to that producer: they stood at the scorer in former versions. */
  readonly producerParameters?: Parameters | undefined
  /** A filter that is asked for besides. */
  readonly filter?: PluginPlan | undefined
}

/** What adapting parameters needs to know. */
export interface AdaptContext {
  readonly instances: Instances
  /** Name of the scheduling profile. */
  readonly profile: string
  readonly findings: Findings
}

/** Brings the parameters of every generation to those of the gateway's plug-ins. */
export function adapt(instance: Instance, context: AdaptContext): Adapted {
  const { parameters: given, known } = instance
  for (const key of known.required ?? []) {
    if (given[key] !== undefined) continue
    complain(context.findings, below(instance.spot, 'parameters'), `'${key}' is missing`, { spot: 'key' })
  }
  const [names, rest] = splitKeys(given, nameKeys)
  const prefixProducer = producerName(instance, names, context)
  const adapter = Object.hasOwn(adapters, instance.type) ? adapters[instance.type] : undefined
  const adapted = adapter === undefined ? { parameters: rest } : adapter(rest, instance, context)
  return { ...adapted, prefixProducer }
}

const nameKeys = [
  'prefixMatchInfoProducerName',
  'inFlightLoadProducerName',
  'latencyPredictionInfoProducerName',
  'prefixPluginType',
  'prefixPluginName',
]

const producerTypes: Readonly<Record<string, string>> = {
  prefixMatchInfoProducerName: 'approx-prefix-cache-producer',
  inFlightLoadProducerName: 'inflight-load-producer',
}

/** The first part has the keys in `taken`, the second the others. */
function splitKeys(parameters: Readonly<Parameters>, taken: readonly string[]): readonly [Parameters, Parameters] {
  const entries = Object.entries(parameters)
  return [
    Object.fromEntries(entries.filter(([key]) => taken.includes(key))),
    Object.fromEntries(entries.filter(([key]) => !taken.includes(key))),
  ]
}

/** Checks which producers an instance names; gives that of prefix matches. */
function producerName({ spot }: Instance, names: Parameters, context: AdaptContext): string | undefined {
  const { instances, findings } = context
  let prefixProducer: string | undefined
  for (const [key, name] of Object.entries(names)) {
    const type = producerTypes[key]
    if (type === undefined || name === '' || name === type) continue
    const at = below(spot, 'parameters', key)
    if (typeof name !== 'string') {
      complain(findings, at, `'${key}' must be the name of a plug-in`)
      continue
    }
    const producer = referred(instances, name, ['producer'], { spot: at, findings })
    if (producer === undefined) continue
    if (producer.type !== type) complain(findings, at, `'${name}' is a ${producer.type}, not a ${type}`)
    else if (key === 'prefixMatchInfoProducerName') prefixProducer = name
  }
  return prefixProducer
}

type Adapter = (parameters: Parameters, instance: Instance, context: AdaptContext) => Adapted

const adapters: Readonly<Record<string, Adapter>> = {
  'prefix-cache-scorer': adaptPrefixScorer,
  'context-length-aware': adaptContextLength,
  'session-affinity-scorer': adaptSession,
  'session-affinity-filter': adaptSession,
}

const producerKeys = [
  'autoTune',
  'blockSize',
  'blockSizeTokens',
  'maxPrefixTokensToMatch',
  'maxPrefixBlocksToMatch',
  'lruCapacityPerServer',
]

const preciseKeys = ['mode', 'indexerConfig', 'kvEventsConfig', 'tokenProcessorConfig']

const bytesPerToken = 4

/** How many blocks of a prompt the first generation looked at, unless told. */
const formerMaxBlocks = 256

function adaptPrefixScorer(given: Parameters, { spot }: Instance, { findings }: AdaptContext): Adapted {
  for (const key of preciseKeys.filter((one) => given[one] !== undefined)) {
    const message = `'${key}' belongs to matching by KV events, which this plug-in does not do: leave it out`
    complain(findings, below(spot, 'parameters', key), message, { spot: 'key' })
  }
  const { prefixLengthWeight, maxModelLen, hashBlockSize, ...others } = splitKeys(given, preciseKeys)[1]
  const [forProducer, own] = splitKeys(others, producerKeys)
  return {
    parameters: {
      ...(prefixLengthWeight === undefined ? {} : { matchLengthWeight: prefixLengthWeight }),
      ...(maxModelLen === undefined ? {} : { matchLengthScaleTokens: maxModelLen }),
      ...own,
    },
    producerParameters: { ...forProducer, ...firstGeneration(hashBlockSize, forProducer) },
  }
}

/** Blocks were counted in bytes once: the same part of the prompt is looked at, and as much of it is remembered. */
function firstGeneration(hashBlockSize: unknown, { maxPrefixBlocksToMatch }: Parameters): Parameters {
  if (typeof hashBlockSize !== 'number' || !(hashBlockSize > 0)) return {}
  const blockSizeTokens = Math.ceil(hashBlockSize / bytesPerToken)
  const blocks = typeof maxPrefixBlocksToMatch === 'number' ? maxPrefixBlocksToMatch : formerMaxBlocks
  return { autoTune: false, blockSizeTokens, maxPrefixTokensToMatch: Math.max(64, blocks * blockSizeTokens) }
}

function adaptContextLength({ enableFiltering, ...parameters }: Parameters, instance: Instance, context: AdaptContext) {
  if (enableFiltering !== undefined && typeof enableFiltering !== 'boolean') {
    complain(context.findings, below(instance.spot, 'parameters', 'enableFiltering'), 'must be true or false')
  }
  const filter = enableFiltering === true ? { type: 'context-length-aware-filter', parameters } : undefined
  return { parameters, filter }
}

const formerStrategies: Readonly<Record<string, string>> = { session_id_header: 'session_id' }

/** Headers in which agents name their session, as `agent-identity` of the Endpoint Picker knows them. */
const agentHeaders = ['x-claude-code-session-id', 'x-session-affinity', 'session-id', 'session_id']

function adaptSession(given: Parameters, instance: Instance, context: AdaptContext): Adapted {
  const { algorithm, headerName, profileName, ...parameters } = given
  const { spot } = instance
  if (profileName !== undefined && profileName !== '' && profileName !== context.profile) {
    const message = `'profileName' must be '${context.profile}': this version places a request with one profile`
    complain(context.findings, below(spot, 'parameters', 'profileName'), message)
  }
  if (typeof algorithm === 'string') parameters['strategy'] ??= formerStrategies[algorithm] ?? algorithm
  if (headerName !== undefined && headerName !== '') {
    parameters['encodedEndpointHeaderConfig'] ??= { header: headerName }
    parameters['sessionIdConfig'] ??= { sources: [{ header: headerName }] }
  }
  const config = parameters['sessionIdConfig'] as { sources?: unknown } | undefined
  if (Array.isArray(config?.sources)) {
    const sources = config.sources.flatMap((source: unknown, index) => sourcesOf(source, index, instance, context))
    parameters['sessionIdConfig'] = { ...config, sources }
  }
  return { parameters }
}

/** A source of session ids; one that is another plug-in's attribute becomes the headers or cookies that it reads. */
function sourcesOf(source: unknown, index: number, { spot }: Instance, context: AdaptContext): unknown[] {
  const { attribute, producer } = (source ?? {}) as { attribute?: unknown; producer?: unknown }
  if (attribute === undefined) return [source]
  const at = below(spot, 'parameters', 'sessionIdConfig', 'sources', index)
  const name = typeof producer === 'string' ? producer : 'session-id-producer'
  const found = referred(context.instances, name, ['producer', 'other'], { spot: at, findings: context.findings })
  if (found === undefined) return []
  const { headerName, cookieName, additionalSessionHeaders } = found.parameters
  if (found.type === 'session-id-producer')
    return [cookieName === undefined ? { header: headerName } : { cookie: cookieName }]
  if (found.type === 'agent-identity') {
    const more = Array.isArray(additionalSessionHeaders) ? (additionalSessionHeaders as unknown[]) : []
    return [...agentHeaders, ...more].map((header) => ({ header }))
  }
  complain(context.findings, at, `'${name}' produces no session id`)
  return []
}

/** Checks what parameters of data plug-ins would change that the gateway does otherwise. */
export function checkData(instance: Instance, findings: Findings): void {
  const { type, parameters, spot } = instance
  const at = (key: string) => below(spot, 'parameters', key)
  if (type === 'metrics-data-source') {
    const usual: Parameters = { scheme: 'http', path: '/metrics' }
    for (const key of ['scheme', 'path', 'port'].filter((one) => parameters[one] !== undefined)) {
      if (parameters[key] === usual[key]) continue
      const hint = `write 'scrape' at the model, or leave it out`
      complain(findings, at(key), `'${key}' of metrics pages is said by the model server`, { hint })
    }
    if (parameters['interval'] !== undefined) {
      warn(findings, at('interval'), "how often metrics pages are read is said by 'scrape' at the model")
    }
  }
  if (type === 'core-metrics-extractor' && (parameters['defaultEngine'] ?? 'vllm') !== 'vllm') {
    warn(findings, at('defaultEngine'), "how metrics pages are read is said by 'engine' at the model server")
  }
}
