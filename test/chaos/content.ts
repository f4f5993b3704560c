import { chaosModels, type RequestPlan } from './request-plan.ts'

/** Text that belongs to `id` alone: a byte of another request in its place is seen. */
export function fillerOf(id: string, bytes: number): string {
  const word = `${id} `
  return word.repeat(Math.ceil(bytes / word.length)).slice(0, bytes)
}

/** Path of a request. */
export function pathOf(plan: RequestPlan): string {
  return plan.api === 'chat' ? '/v1/chat/completions' : '/v1/messages'
}

/** Body of a request as the client sends it. */
export function requestBody(plan: RequestPlan): string {
  const usage = plan.stream && plan.wantsUsage && plan.api === 'chat' ? ',"stream_options":{"include_usage":true}' : ''
  const limit = plan.api === 'messages' ? '"max_tokens":64,' : ''
  const prompt = fillerOf(plan.id, plan.promptBytes)
  return `{"model":${JSON.stringify(plan.model)},${limit}"messages":[{"role":"user","content":"${prompt}"}],"stream":${plan.stream}${usage}}`
}

/** What the engine must get for it: the model renamed, and usage asked for in chat streams. */
export function upstreamBodyOf(plan: RequestPlan): string {
  const { served } = chaosModels[plan.model]
  const body = requestBody(plan).replace(`"model":${JSON.stringify(plan.model)}`, `"model":${JSON.stringify(served)}`)
  const isAsked = plan.stream && plan.api === 'chat' && !plan.wantsUsage
  return isAsked ? `${body.slice(0, -1)},"stream_options":{"include_usage":true}}` : body
}

/** Who reads an answer: the engine writes its own name of the model, the client sees the one it used. */
export type Reader = 'engine' | 'client'

/** The pieces of a whole answer to delivery `k`: events of a stream, or slices of a document. */
export function answerPieces(plan: RequestPlan, k: number, reader: Reader): string[] {
  const model = reader === 'client' ? plan.model : chaosModels[plan.model].served
  const token = `a-${plan.id}-${k}`
  if (!plan.stream)
    return slicesOf(
      plan.api === 'chat' ? chatDocument(plan, token, model) : messageDocument(plan, token, model),
      plan.pieces,
    )
  return plan.api === 'chat' ? chatEvents(plan, token, model, reader) : messageEvents(plan, token, model)
}

/** The error event an engine writes into a stream that it cannot go on with. */
export function engineErrorEvent(plan: RequestPlan, k: number): string {
  const token = `a-${plan.id}-${k}`
  if (plan.api === 'chat')
    return `data: {"error":{"message":"${token} the engine gave up","type":"internal_error","code":500}}\n\n`
  return `event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"${token} the engine gave up"}}\n\n`
}

/** Body of an engine's own error status. */
export function engineErrorBody(plan: RequestPlan, k: number): string {
  return `{"error":{"message":"a-${plan.id}-${k} says no","type":"engine_error","param":null,"code":1}}`
}

function slicesOf(text: string, pieces: number): string[] {
  const size = Math.max(1, Math.ceil(text.length / pieces))
  return Array.from({ length: Math.ceil(text.length / size) }, (_, i) => text.slice(i * size, (i + 1) * size))
}

const usage = '"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}'

function chatDocument(plan: RequestPlan, token: string, model: string): string {
  const message = `{"role":"assistant","content":"${fillerOf(token, plan.answerBytes)}"}`
  return `{"id":"${token}","object":"chat.completion","model":${JSON.stringify(model)},"choices":[{"index":0,"message":${message},"finish_reason":"stop"}],${usage}}`
}

function messageDocument(plan: RequestPlan, token: string, model: string): string {
  const content = `[{"type":"text","text":"${fillerOf(token, plan.answerBytes)}"}]`
  return `{"id":"${token}","type":"message","role":"assistant","model":${JSON.stringify(model)},"content":${content},"usage":{"input_tokens":11,"output_tokens":7}}`
}

function chatEvents(plan: RequestPlan, token: string, model: string, reader: Reader): string[] {
  const head = `"id":"${token}","object":"chat.completion.chunk","model":${JSON.stringify(model)}`
  const text = fillerOf(token, Math.ceil(plan.answerBytes / plan.pieces))
  const events = Array.from(
    { length: plan.pieces },
    (_, i) => `data: {${head},"choices":[{"index":0,"delta":{"content":"${i} ${text}"}}]}\n\n`,
  )
  if (reader === 'engine' || plan.wantsUsage) events.push(`data: {${head},"choices":[],${usage}}\n\n`)
  events.push('data: [DONE]\n\n')
  return events
}

function messageEvents(plan: RequestPlan, token: string, model: string): string[] {
  const event = (type: string, rest: string): string => `event: ${type}\ndata: {"type":"${type}"${rest}}\n\n`
  const text = fillerOf(token, Math.ceil(plan.answerBytes / plan.pieces))
  const start = `{"id":"${token}","type":"message","role":"assistant","model":${JSON.stringify(model)},"content":[],"usage":{"input_tokens":11,"output_tokens":1}}`
  return [
    event('message_start', `,"message":${start}`),
    ...Array.from({ length: plan.pieces }, (_, i) =>
      event('content_block_delta', `,"index":0,"delta":{"type":"text_delta","text":"${i} ${text}"}`),
    ),
    event('message_delta', ',"delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}'),
    event('message_stop', ''),
  ]
}
