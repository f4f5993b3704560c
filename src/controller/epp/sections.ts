import { hintFor } from '#config/issue-problems.ts'
import type { EndpointPickerObject } from '#config/manifests/endpoint-picker-schema.ts'
import type { Manifest } from '#config/manifests/read-manifests.ts'
import { below, complain, type Findings, type Spot, warn } from '#controller/findings.ts'
import { checkData } from './adapt.ts'
import { eppFeatureGates } from './catalogue.ts'
import { checkIdle, type Instances, referred } from './instances.ts'

/** Checks everything of a document but its profiles: what it asks for that the gateway does not do is told. */
export function checkSections(
  manifest: Manifest<EndpointPickerObject>,
  instances: Instances,
  findings: Findings,
): void {
  const { document } = manifest
  const top: Spot = { document, path: [] }
  for (const instance of instances.byName.values()) {
    checkIdle(instance, findings)
    checkData(instance, findings)
    if (instance.type === 'token-producer' || instance.type === 'tokenizer') checkTokens(instance, findings)
  }
  checkHandlers(instances, findings)
  checkGates(manifest, top, findings)
  checkFlowControl(manifest, instances, top, findings)
  checkReferences(manifest, instances, top, findings)
}

const tokenizerKeys = ['modelName', 'vllm', 'udsTokenizerConfig']

function checkTokens(
  { parameters, spot }: { readonly parameters: Readonly<Record<string, unknown>>; readonly spot: Spot },
  findings: Findings,
): void {
  for (const key of tokenizerKeys.filter((one) => parameters[one] !== undefined)) {
    const message = `'${key}' asks for a tokenizer, which this version does not have: leave it out`
    complain(findings, below(spot, 'parameters', key), message, { spot: 'key' })
  }
  if (parameters['estimate'] === undefined) return
  const message = 'it has no effect: images count by their size, sound by its length, videos and files by a constant'
  warn(findings, below(spot, 'parameters', 'estimate'), message, { spot: 'key' })
}

function checkHandlers({ byName }: Instances, findings: Findings): void {
  const [first, second] = [...byName.values()].filter(({ known }) => known.place === 'handler')
  if (first === undefined || second === undefined) return
  const message = `there is a second profile handler beside '${first.name}'; only one is possible`
  complain(findings, below(second.spot, 'type'), message)
}

function checkGates({ value }: Manifest<EndpointPickerObject>, top: Spot, findings: Findings): void {
  for (const [index, text] of value.featureGates.entries()) {
    const spot = below(top, 'featureGates', index)
    const [name = '', state] = text.split('=')
    if (state !== undefined && !/^\s*(?:true|false|t|f|1|0)\s*$/i.test(state)) {
      complain(findings, spot, `feature gate '${name}' is true or false, not '${state}'`)
      continue
    }
    const why = Object.hasOwn(eppFeatureGates, name) ? eppFeatureGates[name] : undefined
    if (why === undefined) {
      const hint = hintFor(name, Object.keys(eppFeatureGates), 'feature gates')
      complain(findings, spot, `unknown feature gate '${name}'`, { hint })
    } else if (why !== '' && isOn(text)) {
      complain(findings, spot, `feature gate '${name}' cannot be on: ${why}`, { hint: `leave '${name}' out` })
    }
  }
}

function isOn(gate: string): boolean {
  return !/=\s*(?:false|f|0)\s*$/i.test(gate)
}

function checkFlowControl(
  { value }: Manifest<EndpointPickerObject>,
  instances: Instances,
  top: Spot,
  findings: Findings,
): void {
  const { flowControl, featureGates, saturationDetector } = value
  const gate = featureGates.findLast((one) => one.split('=')[0] === 'flowControl')
  const isGated = gate !== undefined && isOn(gate)
  if (flowControl !== undefined && !isGated) {
    const message = "'flowControl' is not read while its feature gate is off"
    warn(findings, below(top, 'flowControl'), message, { spot: 'key' })
  }
  const detectors = [
    [flowControl?.saturationDetector?.pluginRef, below(top, 'flowControl', 'saturationDetector', 'pluginRef')],
    [saturationDetector?.pluginRef, below(top, 'saturationDetector', 'pluginRef')],
  ] as const
  for (const [name, spot] of detectors) {
    if (name === undefined || name === 'utilization-detector') continue
    const instance = referred(instances, name, ['profile'], { spot, findings })
    if (instance === undefined || instance.type.endsWith('-detector')) continue
    complain(findings, spot, `'${name}' is a ${instance.type}, not a saturation detector`)
  }
}

function checkReferences(
  { value }: Manifest<EndpointPickerObject>,
  instances: Instances,
  top: Spot,
  findings: Findings,
): void {
  const { requestHandler, parser, dataLayer } = value
  const check = (
    name: string,
    place: 'parser' | 'source' | 'extractor' | 'other',
    ...keys: (string | number)[]
  ): void => {
    referred(instances, name, [place], { spot: below(top, ...keys, 'pluginRef'), findings })
  }
  for (const [index, { pluginRef }] of requestHandler.parsers.entries())
    check(pluginRef, 'parser', 'requestHandler', 'parsers', index)
  if (parser !== undefined) check(parser.pluginRef, 'parser', 'parser')
  for (const [index, { pluginRef, extractors }] of dataLayer.sources.entries()) {
    check(pluginRef, 'source', 'dataLayer', 'sources', index)
    for (const [at, extractor] of extractors.entries())
      check(extractor.pluginRef, 'extractor', 'dataLayer', 'sources', index, 'extractors', at)
  }
  if (dataLayer.injectDefaults === false) {
    const message = "metrics pages are read all the same: write 'scrape: false' at a model to read none"
    warn(findings, below(top, 'dataLayer', 'injectDefaults'), message)
  }
  if (dataLayer.discovery !== undefined) {
    const message = "endpoints are given to the gateway as 'models.NAME.endpoints' or as a ModelServer"
    complain(findings, below(top, 'dataLayer', 'discovery'), message, { hint: 'leave it out', spot: 'key' })
  }
  for (const key of ['peerDiscovery', 'crossReplicaSyncerPluginRef'] as const) {
    if (dataLayer[key] === undefined) continue
    warn(findings, below(top, 'dataLayer', key), 'replicas share no state in this version', { spot: 'key' })
  }
}
