import {
  type Answer,
  type AnswerLimits,
  answerPieces,
  answerText,
  answerTokenIds,
  type FinishReason,
  fixedAnswer,
  type ToolCall,
  textAnswer,
  toolAnswer,
} from '#sim/answer.ts'
import { arrivalOf } from '#sim/call.ts'
import type { Ticket, Work } from '#sim/live-ticket.ts'
import { type ChosenModel, type Exchange, numberOf, type Problem, type Protocol } from './exchange.ts'

/** Which usage a stream reports: none, one last chunk, or on every chunk as well. */
export type StreamUsage = 'none' | 'final' | 'continuous'

/** One answer being made. */
export interface Choice {
  readonly index: number
  readonly answer: Answer
  readonly ticket: Ticket
  /** For a tool call. */
  readonly toolCallId: string
}

/** Everything a shape needs to word an answer. */
export interface Job {
  readonly id: string
  readonly createdS: number
  readonly model: ChosenModel
  readonly choices: readonly Choice[]
  /** Answers for each prompt; the choices of one prompt follow each other. */
  readonly n: number
  readonly promptTokens: number
  readonly streamUsage: StreamUsage
  /** The parsed body, for fields that are repeated in the answer. */
  readonly body: Readonly<Record<string, unknown>>
  /** What a decoding engine has to know to fetch the KV of this answer; on a prefill engine, once it is done. */
  kvTransfer?: unknown
}

/** What a call asks to be generated. */
export interface Generation {
  readonly model: ChosenModel
  readonly prompts: readonly Uint32Array[]
  /** Answers for each prompt. */
  readonly n: number
  readonly maxTokens: number | undefined
  readonly tool: ToolCall | undefined
  /** The answer itself, where the request leaves the model no choice (structured output). */
  readonly text?: string | undefined
  readonly isStream: boolean
  readonly streamUsage: StreamUsage
  readonly body: Readonly<Record<string, unknown>>
  /** What the call says about KV of a prefill engine, for every prompt of it. */
  readonly transfer?: Pick<Work, 'remoteTokens' | 'holdsBlocks' | 'remoteKey'>
  /** Called instead of `answer` when all tokens are made; it has to call `answer`, now or later, or refuse. */
  onMade?(job: Job, answer: () => void): void
}

/** How one API words its answers. Event texts are complete server-sent events. */
export interface Shape {
  readonly idPrefix: string
  readonly streamType: string
  /** Further headers of a streamed answer. */
  readonly streamHeaders?: Readonly<Record<string, string>>
  /** The whole unary answer. */
  body(job: Job): unknown
  /** What goes out before the first token, if anything does. */
  opening?(job: Job): string
  /** The event of some tokens of one choice; `finish` is set on the last one of a choice. */
  token(job: Job, step: TokenStep): string
  /** Whether every token has an event of its own, however many came at once. */
  readonly isPerToken?: boolean
  /** The last events, after the last token of the last choice. */
  closing(job: Job): string
}

/** Some tokens of one choice that come in one event: from real engines, too, often one, sometimes several. */
export interface TokenStep {
  readonly choice: Choice
  /** Number of the first token, from 0; that one is always alone. */
  readonly index: number
  /** How many tokens these are. */
  readonly count: number
  /** Their text. */
  readonly piece: string
  readonly finish: FinishReason | undefined
}

/** Most answers of one call (prompts times n). */
const MAX_CHOICES = 128

/** Refuses a generation that cannot be, else runs it and answers. The client leaving aborts it in every phase. */
export function runGeneration(exchange: Exchange, protocol: Protocol, generation: Generation, shape: Shape): void {
  const { core, reply } = exchange
  for (const prompt of generation.prompts) {
    const problem = protocol.overflow(core, prompt.length, generation.maxTokens) ?? protocol.overload(core)
    if (problem !== undefined) return protocol.refuse(exchange, problem)
  }
  const { maxTokens } = generation
  if (maxTokens !== undefined && !(Number.isSafeInteger(maxTokens) && maxTokens >= 0)) {
    const message = `max_tokens must be a whole number from 1 on, got ${maxTokens}.`
    return protocol.refuse(exchange, { status: 400, type: 'BadRequestError', message, param: 'max_tokens' })
  }
  if (generation.prompts.length * generation.n > MAX_CHOICES) {
    const message = `at most ${MAX_CHOICES} answers in one call`
    return protocol.refuse(exchange, { status: 400, type: 'BadRequestError', message, param: 'n' })
  }
  const rank = askedRank(exchange, generation.body)
  if (typeof rank === 'object') return protocol.refuse(exchange, rank)
  if (generation.isStream) reply.stream({ 'content-type': shape.streamType, ...shape.streamHeaders })
  const answer = () => {
    if (generation.isStream) reply.end(shape.closing(job))
    else reply.json(200, shape.body(job), protocol.headers(exchange))
  }
  const job = startJob(exchange, generation, shape, () => {
    if (generation.onMade === undefined) answer()
    else generation.onMade(job, answer)
  })
  if (generation.isStream && shape.opening !== undefined) reply.chunk(shape.opening(job))
}

function startJob(exchange: Exchange, generation: Generation, shape: Shape, onDone: () => void): Job {
  const { core, call } = exchange
  const choices: Choice[] = []
  const job: Job = {
    id: `${shape.idPrefix}${call.headers.get('x-request-id') ?? core.newId()}`,
    createdS: Math.floor(core.clock.wallMs() / 1000),
    model: generation.model,
    choices,
    n: generation.n,
    promptTokens: generation.prompts.reduce((sum, prompt) => sum + prompt.length, 0),
    streamUsage: generation.streamUsage,
    body: generation.body,
  }
  const answers = generation.prompts.flatMap((prompt, at) =>
    Array.from({ length: generation.n }, (_, i) => {
      const answer = makeAnswer(exchange, generation, prompt, at * generation.n + i)
      return { prompt, answer }
    }),
  )
  let open = answers.length
  const onTokens = (choice: number) => (first: number, count: number) =>
    exchange.reply.chunk(shape.token(job, stepOf(choices[choice]!, first, count)))
  const works = answers.map(({ prompt, answer }, index) => ({
    ...workOf(exchange, generation, prompt),
    ...generation.transfer,
    outputTokens: answer.tokens,
    outputIds: answerTokenIds(answer),
    endsBy: answer.finish === 'length' ? ('length' as const) : ('stop' as const),
    isPerToken: shape.isPerToken === true,
    isFrozen: exchange.reply.isHung,
    ...(generation.isStream ? { onTokens: onTokens(index) } : {}),
    onDone: () => {
      if (--open === 0) onDone()
    },
  }))
  const tickets = core.engine.submitAll(works)
  for (const [index, ticket] of tickets.entries()) {
    const toolCallId = `chatcmpl-tool-${core.newId()}`
    choices.push({ index, answer: answers[index]!.answer, ticket, toolCallId })
  }
  holdTogether(exchange, tickets)
  return job
}

function stepOf(choice: Choice, index: number, count: number): TokenStep {
  const { answer } = choice
  const finish = index + count === answer.tokens ? answer.finish : undefined
  return { choice, index, count, piece: answerPieces(answer, index, count), finish }
}

type Asked = Pick<Generation, 'model' | 'body'>

/** The part of a work that its request says. */
function workOf(
  exchange: Exchange,
  { model, body }: Asked,
  promptTokens: Uint32Array,
): Pick<Work, 'promptTokens' | 'adapter' | 'cacheSalt' | 'priority' | 'rank'> {
  const { cache_salt: cacheSalt, priority } = body
  const rank = askedRank(exchange, body)
  return {
    promptTokens,
    adapter: model.adapter,
    cacheSalt: typeof cacheSalt === 'string' ? cacheSalt : '',
    ...(typeof priority === 'number' ? { priority } : {}),
    ...(typeof rank === 'number' ? { rank } : {}),
  }
}

/**
 * The data-parallel rank a call asks for: vLLM and SGLang read a header (what is no number is ignored), SGLang a field of the body, too. A
 * problem when it is not there.
 */
function askedRank({ core, call }: Exchange, body: Asked['body']): number | undefined | Problem {
  const { engine, ranks } = core.settings
  const header = engine === 'vllm' || engine === 'sglang' ? call.headers.get('x-data-parallel-rank')?.trim() : undefined
  const field = engine === 'sglang' ? numberOf(body['routed_dp_rank'] ?? body['data_parallel_rank']) : undefined
  const rank = header !== undefined && /^[+-]?\d+$/.test(header) ? Number(header) : field
  if (rank === undefined || (Number.isInteger(rank) && rank >= 0 && rank < ranks)) return rank
  const message = `data_parallel_rank ${rank} is out of range [0, ${ranks}).`
  return { status: 400, type: 'BadRequestError', message, param: null }
}

/** Ties tickets to their connection: when it goes they are aborted, when it hangs they stand still. */
function holdTogether({ core, reply }: Exchange, tickets: readonly Ticket[]): void {
  const freezeAll = () => tickets.forEach((ticket) => ticket.freeze())
  const abortAll = () => tickets.forEach((ticket) => ticket.abort())
  reply.onHang(freezeAll)
  reply.onLeave(() => {
    const { abortDelayMs, timeFactor } = core.settings
    if (abortDelayMs > 0) core.clock.after(abortDelayMs / timeFactor, abortAll)
    else abortAll()
  })
}

function makeAnswer({ core, call }: Exchange, generation: Generation, prompt: Uint32Array, index: number): Answer {
  const { settings } = core
  const asked = settings.role === 'prefill' ? Math.min(1, generation.maxTokens ?? 1) : generation.maxTokens
  const endsBefore = asked !== undefined && call.answerTokens !== undefined && call.answerTokens < asked
  const limits: AnswerLimits = {
    maxTokens: endsBefore ? undefined : asked,
    defaultTokens: call.answerTokens ?? settings.defaultTokens,
    room: Math.max(1, settings.maxModelLen - prompt.length),
  }
  if (call.isEcho) return fixedAnswer(JSON.stringify(arrivalOf(call)), limits)
  if (generation.tool !== undefined) return toolAnswer(generation.tool, limits)
  if (generation.text !== undefined) return fixedAnswer(generation.text, limits)
  return textAnswer(prompt, settings.seed + index, limits)
}

/** Runs prompts that have no output (embeddings, scores) through the engine and calls `onDone` when all were read. */
export function runPrefill(
  exchange: Exchange,
  protocol: Protocol,
  input: { readonly model: ChosenModel; readonly prompts: readonly Uint32Array[]; readonly body: Generation['body'] },
  onDone: () => void,
): void {
  const { core } = exchange
  for (const prompt of input.prompts) {
    const problem = protocol.overflow(core, prompt.length, 0) ?? protocol.overload(core)
    if (problem !== undefined) return protocol.refuse(exchange, problem)
  }
  const rank = askedRank(exchange, input.body)
  if (typeof rank === 'object') return protocol.refuse(exchange, rank)
  let open = input.prompts.length
  if (open === 0) return onDone()
  const works = input.prompts.map((prompt) => ({
    ...workOf(exchange, input, prompt),
    outputTokens: 0,
    isFrozen: exchange.reply.isHung,
    endsBy: 'stop' as const,
    onDone: () => {
      if (--open === 0) onDone()
    },
  }))
  holdTogether(exchange, core.engine.submitAll(works))
}

/** Text of a choice, or none when it calls a tool. */
export function choiceText(choice: Choice): string {
  return choice.answer.tool === undefined ? answerText(choice.answer) : ''
}

/** Arguments of a choice's tool call as far as they were made. */
export function choiceArguments(choice: Choice): string {
  return choice.answer.tool === undefined ? '' : answerText(choice.answer)
}

/** Sums over the choices of a job; prompts count once, however many answers they have. */
export function usageOf(job: Job): { promptTokens: number; outputTokens: number; cachedTokens: number } {
  let outputTokens = 0
  let cachedTokens = 0
  for (const { index, ticket } of job.choices) {
    outputTokens += ticket.produced
    if (index % job.n === 0) cachedTokens += ticket.cachedTokens
  }
  return { promptTokens: job.promptTokens, outputTokens, cachedTokens }
}

/** Frames one value as a server-sent event without a name. */
export function dataEvent(value: unknown): string {
  return `data: ${JSON.stringify(value)}\n\n`
}
