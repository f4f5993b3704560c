import type { FinishReason } from '#sim/answer.ts'
import {
  type Choice,
  choiceArguments,
  choiceText,
  dataEvent,
  type Job,
  type Shape,
  type TokenStep,
  usageOf,
} from '#sim/api/generation.ts'
import { chatLogprobs, promptTokenIds, textLogprobs, tokenIds } from './vllm-logprobs.ts'

const FINGERPRINT = 'vllm-0.32.0-17878b6d'
const STREAM_TYPE = 'text/event-stream; charset=utf-8'

/** Chat completions as vLLM 0.32 answers them, field by field in its order. */
export const vllmChat: Shape = {
  idPrefix: 'chatcmpl-',
  streamType: STREAM_TYPE,
  body: (job) => ({
    id: job.id,
    object: 'chat.completion',
    created: job.createdS,
    model: job.model.name,
    choices: job.choices.map((choice) => chatChoice(job, choice)),
    service_tier: null,
    system_fingerprint: FINGERPRINT,
    usage: { ...finalUsage(job, createdTokens(job), { multimodal_tokens: null }), completion_tokens_details: null },
    prompt_logprobs: null,
    prompt_token_ids: promptTokenIds(job.body, job.choices[0]),
    prompt_text: null,
    kv_transfer_params: job.kvTransfer ?? null,
    ec_transfer_params: null,
    metrics: null,
  }),
  token(job, step) {
    const { choice, index, count, finish } = step
    const opening = index === 0 ? chatChunk(job, openingDelta(choice), OPENING_TAIL, 0) : ''
    const delta = chatDelta(step)
    const logprobs = textOf(chatLogprobs(job.body, choice, index, count))
    const ids = textOf(tokenIds(job.body, choice, index, count))
    const chunk = (text: string, reason: string, end: string) =>
      chatChunk(
        job,
        `{"index":${choice.index},"delta":${text},`,
        `"logprobs":${logprobs},"finish_reason":${reason},"token_ids":${ids}}]${end}`,
        choice.ticket.produced,
      )
    if (finish === undefined) return opening + chunk(delta, 'null', '')
    const reason = `"${chatReason(job, finish)}","stop_reason":null`
    const end = fingerprintAtEnd(job, finish)
    // The end of a call comes in a chunk of its own.
    if (choice.answer.tool !== undefined) return opening + chunk(delta, 'null', '') + chunk('{}', reason, end)
    return opening + chunk(delta, reason, end)
  },
  closing: (job) => usageChunk(job, 'chat.completion.chunk', createdTokens(job)),
}

/** Text completions as vLLM 0.32 answers them. */
export const vllmCompletions: Shape = {
  idPrefix: 'cmpl-',
  streamType: STREAM_TYPE,
  body: (job) => ({
    id: job.id,
    object: 'text_completion',
    created: job.createdS,
    model: job.model.name,
    choices: job.choices.map((choice) => ({
      index: choice.index,
      text: echoOf(job) + choiceText(choice),
      logprobs: textLogprobs(job.body, choice, 0, choice.answer.tokens),
      finish_reason: choice.answer.finish,
      stop_reason: null,
      token_ids: tokenIds(job.body, choice, 0, choice.answer.tokens),
      prompt_logprobs: null,
      prompt_token_ids: promptTokenIds(job.body, choice),
      routed_experts: null,
    })),
    service_tier: null,
    system_fingerprint: FINGERPRINT,
    usage: {
      ...finalUsage(job, null, { created_cache_tokens: null, multimodal_tokens: null }),
      completion_tokens_details: null,
    },
    kv_transfer_params: job.kvTransfer ?? null,
    ec_transfer_params: null,
    metrics: null,
  }),
  token(job, { choice, index, count, piece, finish }) {
    const reason = finish === undefined ? 'null' : `"${finish}"`
    const usage = job.streamUsage === 'continuous' ? `,"usage":{${runningUsage(job, choice.ticket.produced)}}` : ''
    const text = index === 0 ? echoOf(job) + piece : piece
    const logprobs = textOf(textLogprobs(job.body, choice, index, count))
    const ids = textOf(tokenIds(job.body, choice, index, count))
    const promptIds = index === 0 ? textOf(promptTokenIds(job.body, choice)) : 'null'
    return `data: {"id":"${job.id}","object":"text_completion","created":${job.createdS},"model":${JSON.stringify(job.model.name)},"choices":[{"index":${choice.index},"text":${JSON.stringify(text)},"logprobs":${logprobs},"finish_reason":${reason},"stop_reason":null,"prompt_token_ids":${promptIds},"token_ids":${ids}}]${fingerprintAtEnd(job, finish)}${usage}}\n\n`
  },
  closing: (job) => usageChunk(job, 'text_completion', null),
}

const OPENING_TAIL = '"logprobs":null,"finish_reason":null}],"prompt_token_ids":null,"prompt_text":null'

/** The last chunk of a choice has the fingerprint, unless a chunk with the usage is still to come. */
function fingerprintAtEnd(job: Job, finish: TokenStep['finish']): string {
  return finish === undefined || job.streamUsage !== 'none' ? '' : `,"system_fingerprint":"${FINGERPRINT}"`
}

/** Most values are null: that needs no serialiser. */
function textOf(value: unknown): string {
  return value === null ? 'null' : JSON.stringify(value)
}

/** The prompt in front of the answer when the request asks for it. */
function echoOf({ body }: Job): string {
  return body['echo'] === true && typeof body['prompt'] === 'string' ? body['prompt'] : ''
}

function chatChoice(job: Job, choice: Choice): unknown {
  const { index, answer, toolCallId } = choice
  const { tool } = answer
  const call = tool && { name: tool.name, arguments: choiceArguments(choice) }
  return {
    index,
    message: {
      role: 'assistant',
      content: tool === undefined ? choiceText(choice) : contentOfCall(job),
      refusal: null,
      annotations: null,
      audio: null,
      function_call: null,
      ...(call === undefined ? {} : { tool_calls: [{ id: toolCallId, type: 'function', function: call }] }),
      reasoning: null,
    },
    logprobs: chatLogprobs(job.body, choice, 0, answer.tokens),
    finish_reason: chatReason(job, answer.finish),
    stop_reason: null,
    token_ids: tokenIds(job.body, choice, 0, answer.tokens),
    routed_experts: null,
  }
}

function contentOfCall({ body }: Job): string | null {
  return isNamed(body) ? '' : null
}

/** A call that the request named ends like a text. */
function chatReason({ body }: Job, finish: FinishReason): FinishReason {
  return finish === 'tool_calls' && isNamed(body) ? 'stop' : finish
}

function isNamed({ tool_choice: choice }: Job['body']): boolean {
  return typeof choice === 'object' && choice !== null
}

function openingDelta(choice: Choice): string {
  return `{"index":${choice.index},"delta":{"role":"assistant","content":""},`
}

function chatDelta({ choice, index, piece }: TokenStep): string {
  const { tool } = choice.answer
  if (tool === undefined) return `{"content":${JSON.stringify(piece)}}`
  const head = { id: choice.toolCallId, type: 'function', index: 0, function: { name: tool.name } }
  const call = index === 0 ? head : { index: 0, function: { arguments: piece } }
  return JSON.stringify({ content: null, tool_calls: [call] })
}

/** Written by hand: at thousands of chunks a second, building objects to serialise them would cost most of the time. */
function chatChunk(job: Job, choiceStart: string, tail: string, produced: number): string {
  const usage =
    job.streamUsage === 'continuous' ? `,"usage":{${runningUsage(job, produced)},"completion_tokens_details":null}` : ''
  return `data: {"id":"${job.id}","object":"chat.completion.chunk","created":${job.createdS},"model":${JSON.stringify(job.model.name)},"choices":[${choiceStart}${tail}${usage}}\n\n`
}

function runningUsage(job: Job, produced: number): string {
  const prompt = job.promptTokens
  return `"prompt_tokens":${prompt},"total_tokens":${prompt + produced},"completion_tokens":${produced}`
}

function usageChunk(job: Job, object: string, created: number | null): string {
  if (job.streamUsage === 'none') return 'data: [DONE]\n\n'
  const last = dataEvent({
    id: job.id,
    object,
    created: job.createdS,
    model: job.model.name,
    choices: [],
    usage: finalUsage(job, created, {}),
    system_fingerprint: FINGERPRINT,
  })
  return `${last}data: [DONE]\n\n`
}

/** Prompt tokens whose blocks were not cached before and are now. */
function createdTokens(job: Job): number {
  return job.choices.reduce((sum, { ticket }) => sum + ticket.newlyCachedTokens, 0)
}

function finalUsage(job: Job, created: number | null, more: Record<string, unknown>): Record<string, unknown> {
  const { promptTokens, outputTokens, cachedTokens } = usageOf(job)
  return {
    prompt_tokens: promptTokens,
    total_tokens: promptTokens + outputTokens,
    completion_tokens: outputTokens,
    prompt_tokens_details: {
      cached_tokens: cachedTokens,
      ...(created === null ? {} : { created_cache_tokens: created }),
      ...more,
    },
  }
}
