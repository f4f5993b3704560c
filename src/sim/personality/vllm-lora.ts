import { type FieldRules, readJsonBody } from '#sim/api/body.ts'
import { type Exchange, type Protocol, stringOf } from '#sim/api/exchange.ts'
import { notFound } from './vllm-protocol.ts'

const LOAD_RULES: FieldRules = {
  lora_name: { type: 'string', isRequired: true },
  lora_path: { type: 'string', isRequired: true },
  load_inplace: { type: 'bool' },
}
const UNLOAD_RULES: FieldRules = { lora_name: { type: 'string', isRequired: true } }

/** A path that holds this is taken for one without an adapter; there are no files to look at. */
const MISSING_PATH = /(^|\/)(missing|none)(\/|$)/

/** `POST /v1/load_lora_adapter` in vLLM's words. A path with a segment `missing` or `none` fails as if nothing were there. */
export function handleLoadAdapter(exchange: Exchange, protocol: Protocol): void {
  const { core, reply } = exchange
  const result = readJsonBody(exchange.call, LOAD_RULES)
  if ('problem' in result) return protocol.refuseBody(exchange, result.problem)
  const name = stringOf(result.body['lora_name']) ?? ''
  const path = stringOf(result.body['lora_path']) ?? ''
  const invalid = (message: string) =>
    protocol.refuse(exchange, { status: 400, type: 'InvalidUserInput', message, param: null })
  if (name === '' || path === '') return invalid("Both 'lora_name' and 'lora_path' must be provided.")
  if (core.settings.models.includes(name)) {
    return invalid(`The lora adapter '${name}' conflicts with a served base model.`)
  }
  if (core.adapters.has(name) && result.body['load_inplace'] !== true) {
    const message = `The lora adapter '${name}' has already been loaded. If you want to load the adapter in place, set 'load_inplace' to True.`
    return invalid(message)
  }
  if (MISSING_PATH.test(path)) {
    return protocol.refuse(exchange, notFound(`Loading lora ${name} failed: No adapter found for ${path}`))
  }
  if (core.adapters.isFull) {
    return protocol.refuse(exchange, {
      status: 400,
      type: 'BadRequestError',
      message: 'too many adapters',
      param: null,
    })
  }
  core.adapters.add({ name, path })
  reply.send(200, {}, `Success: LoRA adapter '${name}' added successfully.`)
}

/** `POST /v1/unload_lora_adapter` in vLLM's words. */
export function handleUnloadAdapter(exchange: Exchange, protocol: Protocol): void {
  const { core, reply } = exchange
  const result = readJsonBody(exchange.call, UNLOAD_RULES)
  if ('problem' in result) return protocol.refuseBody(exchange, result.problem)
  const name = stringOf(result.body['lora_name']) ?? ''
  if (!core.adapters.remove(name)) {
    return protocol.refuse(exchange, notFound(`The lora adapter '${name}' cannot be found.`))
  }
  reply.send(200, {}, `Success: LoRA adapter '${name}' removed successfully.`)
}
