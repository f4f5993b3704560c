import { embeddingOf, similarity } from '#sim/answer.ts'
import { arrivalOf } from '#sim/call.ts'
import { tokenize } from '#sim/tokens.ts'
import type { FieldRules, JsonBody } from './body.ts'
import { type ChosenModel, type Exchange, fieldsOf, numberOf, type Protocol, stringOf } from './exchange.ts'
import { runPrefill } from './generation.ts'
import { openCall } from './openai.ts'
import { completionPrompts, contentText } from './prompt.ts'

/** Length of an embedding when the call does not say. */
const DEFAULT_DIMENSIONS = 8
const MAX_DIMENSIONS = 8_192

/** What one of the APIs without output tokens needs: its fields, its texts and its answer. */
export interface PoolingApi {
  readonly rules: FieldRules
  prompts(body: JsonBody): Uint32Array[]
  answer(context: PoolingContext): Readonly<Record<string, unknown>>
}

interface PoolingContext {
  readonly body: JsonBody
  readonly model: ChosenModel
  readonly id: string
  readonly createdS: number
  readonly seed: number
  readonly promptTokens: number
}

/** Answers a call of one of the {@link POOLING_APIS}. An echo comes as the field `sim_echo`. */
export function handlePooling(exchange: Exchange, protocol: Protocol, api: PoolingApi): void {
  const opened = openCall(exchange, protocol, api.rules)
  if (opened === undefined) return
  const { core, call, reply } = exchange
  const { body, model } = opened
  const prompts = api.prompts(body)
  runPrefill(exchange, protocol, { model, prompts, body }, () => {
    const answer = api.answer({
      body,
      model,
      id: call.headers.get('x-request-id') ?? core.newId(),
      createdS: Math.floor(core.clock.wallMs() / 1000),
      seed: core.settings.seed,
      promptTokens: prompts.reduce((sum, prompt) => sum + prompt.length, 0),
    })
    const echo = call.isEcho ? { sim_echo: arrivalOf(call) } : {}
    reply.json(200, { ...answer, ...echo }, protocol.headers(exchange))
  })
}

const MODEL_RULE: FieldRules = { model: { type: 'string' } }

const embeddings: PoolingApi = {
  rules: { ...MODEL_RULE, input: { type: 'any', isRequired: true }, dimensions: { type: 'int' } },
  prompts: (body) => completionPrompts(body['input'], tokenize),
  answer: (context) => ({
    id: `embd-${context.id}`,
    ...listHead(context),
    data: vectors(context).map((vector, index) => ({
      index,
      object: 'embedding',
      embedding: context.body['encoding_format'] === 'base64' ? base64OfFloats(vector) : vector,
    })),
    usage: usage(context),
  }),
}

const pooling: PoolingApi = {
  rules: { ...MODEL_RULE, input: { type: 'any', isRequired: true } },
  prompts: embeddings.prompts,
  answer: (context) => ({
    id: `pool-${context.id}`,
    ...listHead(context),
    data: vectors(context).map((vector, index) => ({ index, object: 'pooling', data: vector })),
    usage: usage(context),
  }),
}

const classify: PoolingApi = {
  rules: { ...MODEL_RULE, input: { type: 'any', isRequired: true } },
  prompts: embeddings.prompts,
  answer: (context) => ({
    id: `classify-${context.id}`,
    ...listHead(context),
    data: inputTexts(context.body).map((text, index) => {
      const yes = similarity(text, 'yes', context.seed)
      const probs = [1 - yes, yes]
      return { index, label: yes > 0.5 ? 'LABEL_1' : 'LABEL_0', probs, num_classes: probs.length }
    }),
    usage: usage(context),
  }),
}

const score: PoolingApi = {
  rules: { ...MODEL_RULE },
  prompts: (body) => scorePairs(body).map(([a, b]) => tokenize(`${a}\n${b}`)),
  answer: (context) => ({
    id: `score-${context.id}`,
    ...listHead(context),
    data: scorePairs(context.body).map(([a, b], index) => ({
      index,
      object: 'score',
      score: similarity(a, b, context.seed),
    })),
    usage: usage(context),
  }),
}

const rerank: PoolingApi = {
  rules: { ...MODEL_RULE, query: { type: 'any', isRequired: true }, documents: { type: 'any', isRequired: true } },
  prompts: (body) => documentsOf(body).map((text) => tokenize(`${contentText(body['query'])}\n${text}`)),
  answer: (context) => {
    const query = contentText(context.body['query'])
    const results = documentsOf(context.body)
      .map((text, index) => ({
        index,
        document: { text, multi_modal: null },
        relevance_score: similarity(query, text, context.seed),
      }))
      .toSorted((a, b) => b.relevance_score - a.relevance_score)
    const top = numberOf(context.body['top_n']) ?? 0
    return {
      id: `rerank-${context.id}`,
      model: context.model.name,
      usage: { prompt_tokens: context.promptTokens, total_tokens: context.promptTokens },
      results: top > 0 ? results.slice(0, top) : results,
    }
  },
}

/** The APIs that only read their input, by the path without `/v1`. */
export const POOLING_APIS = { embeddings, pooling, classify, score, rerank }

function listHead({ createdS, model }: PoolingContext): Readonly<Record<string, unknown>> {
  return { object: 'list', created: createdS, model: model.name }
}

function usage({ promptTokens }: PoolingContext): unknown {
  return { prompt_tokens: promptTokens, total_tokens: promptTokens, completion_tokens: 0, prompt_tokens_details: null }
}

/** The texts of an input; token ids count as their digits. */
function inputTexts(body: JsonBody): string[] {
  const input = body['input'] ?? body['messages']
  if (!Array.isArray(input) || input.every((item) => typeof item === 'number')) return [contentText(input)]
  return input.map((item) => contentText(item))
}

function vectors({ body, seed }: PoolingContext): number[][] {
  const wanted = numberOf(body['dimensions']) ?? DEFAULT_DIMENSIONS
  const dimensions = Math.min(MAX_DIMENSIONS, Math.max(1, wanted))
  return inputTexts(body).map((text) => embeddingOf(text, seed, dimensions))
}

function base64OfFloats(vector: readonly number[]): string {
  return Buffer.from(Float32Array.from(vector).buffer).toString('base64')
}

/** Pairs of texts to compare: one with each, or one with one. */
function scorePairs(body: JsonBody): (readonly [string, string])[] {
  const left = textList(body['text_1'] ?? body['queries'])
  const right = textList(body['text_2'] ?? body['documents'] ?? body['items'])
  return right.map((text, i) => [left[left.length === 1 ? 0 : i] ?? '', text])
}

function textList(value: unknown): string[] {
  return (Array.isArray(value) ? value : [value]).map(contentText)
}

function documentsOf(body: JsonBody): string[] {
  const documents = body['documents']
  if (!Array.isArray(documents)) return textList(documents)
  return documents.map((document) => stringOf(fieldsOf(document)['text']) ?? contentText(document))
}
