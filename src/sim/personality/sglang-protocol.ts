import type { BodyProblem } from '#sim/api/body.ts'
import type { Exchange, Problem, Protocol, SimCore } from '#sim/api/exchange.ts'

/** Words errors and models as SGLang does: flat errors, any model name is taken, `base:adapter` chooses an adapter. */
export function sglangProtocol(): Protocol {
  return {
    refuse,
    refuseBody,
    chooseModel(core, name) {
      const asked = name === undefined || name === '' ? core.settings.baseModel : name
      const colon = asked.indexOf(':')
      const adapter = colon < 0 ? undefined : asked.slice(colon + 1)
      if (adapter === undefined || adapter === '') return { name: asked, adapter: undefined }
      if (core.adapters.has(adapter)) return { name: asked, adapter }
      return badRequest(adapterMissing(core, adapter))
    },
    overflow: contextProblem,
    overload(core) {
      if (core.engine.openCount < core.settings.maxQueuedReqs) return undefined
      return { status: 503, type: 'ServiceUnavailable', message: 'The request queue is full.', param: null }
    },
    headers: () => ({}),
  }
}

/** A 400 in SGLang's words. */
export function badRequest(message: string): Problem {
  return { status: 400, type: 'BadRequestError', message, param: null }
}

/** What SGLang says of an adapter that is not loaded. */
export function adapterMissing(core: SimCore, adapter: string): string {
  const loaded = core.adapters.list().map(({ name }) => `'${name}'`)
  return `The following requested LoRA adapters are not loaded: ['${adapter}']. Loaded adapters: [${loaded.join(', ')}].`
}

function refuse({ reply }: Exchange, { status, type, message, param }: Problem): void {
  reply.json(status, { object: 'error', message, type, param, code: status })
}

function refuseBody(exchange: Exchange, problem: BodyProblem): void {
  refuse(exchange, badRequest(describe(problem)))
}

function describe(problem: BodyProblem): string {
  if (problem.kind === 'media-type') return "Unsupported Media Type: Only 'application/json' is allowed"
  if (problem.kind === 'empty') return 'body: Field required'
  if (problem.kind === 'json') return `JSON decode error at position ${problem.position}: ${problem.reason}`
  return problem.fields.map(({ field, message }) => `body.${field}: ${message}`).join('; ')
}

function contextProblem(core: SimCore, promptTokens: number, maxTokens: number | undefined): Problem | undefined {
  const limit = core.settings.maxModelLen
  if (promptTokens >= limit) {
    return badRequest(`The input (${promptTokens} tokens) is longer than the model's context length (${limit} tokens).`)
  }
  const wanted = maxTokens ?? 1
  if (wanted < 0) return badRequest(`max_new_tokens must be at least 0, got ${wanted}.`)
  if (promptTokens + wanted <= limit) return undefined
  return badRequest(
    `Requested token count exceeds the model's maximum context length of ${limit} tokens. You requested a total of ${promptTokens + wanted} tokens: ${promptTokens} tokens from the input messages and ${wanted} tokens for the completion. Please reduce the number of tokens in the input messages or the completion to fit within the limit.`,
  )
}
