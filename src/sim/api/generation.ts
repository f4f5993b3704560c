import {
  type Answer,
  type AnswerLimits,
  answerText,
  type FinishReason,
  fixedAnswer,
  type ToolCall,
  textAnswer,
  toolAnswer,
} from '#sim/answer.ts'
import { arrivalOf } from '#sim/call.ts'
import type { Ticket } from '#sim/engine.ts'
import type { ChosenModel, Exchange, Protocol } from './exchange.ts'

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
}

/** What a call asks to be generated. */
export interface Generation {
  readonly model: ChosenModel
  readonly prompts: readonly Uint32Array[]
  /** Answers for each prompt. */
  readonly n: number
  readonly maxTokens: number | undefined
  readonly tool: ToolCall | undefined
  readonly isStream: boolean
  readonly streamUsage: StreamUsage
  readonly body: Readonly<Record<string, unknown>>
}

/** How one API words its answers. Event texts are complete server-sent events. */
export interface Shape {
  readonly idPrefix: string
  readonly streamType: string
  /** The whole unary answer. */
  body(job: Job): unknown
  /** What goes out before the first token, if anything does. */
  opening?(job: Job): string
  /** The events of one token; `finish` is set on the last one of a choice. */
  token(job: Job, step: TokenStep): string
  /** The last events, after the last token of the last choice. */
  closing(job: Job): string
}

/** One token of one choice. */
export interface TokenStep {
  readonly choice: Choice
  readonly index: number
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
  if (generation.prompts.length * generation.n > MAX_CHOICES) {
    const message = `at most ${MAX_CHOICES} answers in one call`
    return protocol.refuse(exchange, { status: 400, type: 'BadRequestError', message, param: 'n' })
  }
  if (generation.isStream) reply.stream(streamHeaders(exchange, shape))
  const job = startJob(exchange, generation, shape, () => {
    if (generation.isStream) reply.end(shape.closing(job))
    else reply.json(200, shape.body(job), protocol.headers(exchange))
  })
  if (generation.isStream && shape.opening !== undefined) reply.chunk(shape.opening(job))
}

function streamHeaders(exchange: Exchange, shape: Shape): Record<string, string | undefined> {
  const { echoRequestId } = exchange.core.settings
  return {
    'content-type': shape.streamType,
    'x-request-id': echoRequestId ? exchange.call.headers.get('x-request-id') : undefined,
  }
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
  let open = generation.prompts.length * generation.n
  for (const prompt of generation.prompts) {
    for (let i = 0; i < generation.n; i++) {
      const index = choices.length
      const answer = makeAnswer(exchange, generation, prompt, index)
      const ticket = submit(exchange, generation, prompt, {
        tokens: answer.tokens,
        endsBy: answer.finish === 'length' ? 'length' : 'stop',
        onToken: (at) => {
          if (generation.isStream) exchange.reply.chunk(shape.token(job, stepOf(choices[index]!, at)))
        },
        onDone: () => {
          if (--open === 0) onDone()
        },
      })
      choices.push({ index, answer, ticket, toolCallId: `chatcmpl-tool-${core.newId()}` })
    }
  }
  holdTogether(
    exchange,
    choices.map((choice) => choice.ticket),
  )
  return job
}

function stepOf(choice: Choice, index: number): TokenStep {
  const { answer } = choice
  return { choice, index, piece: answer.piece(index), finish: index + 1 === answer.tokens ? answer.finish : undefined }
}

function submit(
  { core }: Exchange,
  generation: Pick<Generation, 'model' | 'body'>,
  promptTokens: Uint32Array,
  output: { tokens: number; endsBy: 'stop' | 'length'; onToken(index: number): void; onDone(): void },
): Ticket {
  const cacheSalt = generation.body['cache_salt']
  return core.engine.submit({
    promptTokens,
    outputTokens: output.tokens,
    endsBy: output.endsBy,
    adapter: generation.model.adapter,
    cacheSalt: typeof cacheSalt === 'string' ? cacheSalt : '',
    onToken: output.onToken,
    onDone: output.onDone,
  })
}

/** Ties tickets to their connection: when it goes they are aborted, when it hangs they stand still. */
function holdTogether({ core, reply }: Exchange, tickets: readonly Ticket[]): void {
  const freezeAll = () => tickets.forEach((ticket) => ticket.freeze())
  const abortAll = () => tickets.forEach((ticket) => ticket.abort())
  if (reply.isHung) freezeAll()
  reply.onHang(freezeAll)
  reply.onLeave(() => {
    if (core.settings.abortDelayMs > 0) core.clock.after(core.settings.abortDelayMs, abortAll)
    else abortAll()
  })
}

function makeAnswer({ core, call }: Exchange, generation: Generation, prompt: Uint32Array, index: number): Answer {
  const { settings } = core
  const limits: AnswerLimits = {
    maxTokens: generation.maxTokens,
    defaultTokens: settings.defaultTokens,
    room: Math.max(1, settings.maxModelLen - prompt.length),
  }
  if (call.isEcho) return fixedAnswer(JSON.stringify(arrivalOf(call)), limits)
  if (generation.tool !== undefined) return toolAnswer(generation.tool, limits)
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
  let open = input.prompts.length
  if (open === 0) return onDone()
  const tickets = input.prompts.map((prompt) =>
    submit(exchange, input, prompt, {
      tokens: 0,
      endsBy: 'stop',
      onToken: () => {},
      onDone: () => {
        if (--open === 0) onDone()
      },
    }),
  )
  holdTogether(exchange, tickets)
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
