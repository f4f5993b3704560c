import { answerText } from '#sim/answer.ts'
import { arrivalOf } from '#sim/call.ts'
import { type FormPart, formText, readMultipart } from '#sim/multipart.ts'
import { hashText, tokenize } from '#sim/tokens.ts'
import type { FieldRules } from './body.ts'
import { type ChosenModel, type Exchange, isProblem, numberOf, type Protocol, stringOf } from './exchange.ts'
import { dataEvent, type Generation, type Job, runGeneration, runPrefill, type Shape, usageOf } from './generation.ts'
import { openCall } from './openai.ts'

const SAMPLE_RATE = 8_000
const MAX_SPEECH_SAMPLES = SAMPLE_RATE * 60

/** `POST /v1/audio/transcriptions` and `/v1/audio/translations`: a form with the audio and the model's name. */
export function handleTranscription(exchange: Exchange, protocol: Protocol): void {
  const opened = openForm(exchange, protocol, 'file')
  if (opened === undefined) return
  const { parts, model, file } = opened
  const audio = tokenize(file.data.toString('latin1'))
  const generation: Generation = {
    model,
    body: Object.fromEntries(
      parts.filter((part) => part.fileName === undefined).map((part) => [part.name, part.data.toString()]),
    ),
    prompts: [audio.subarray(0, exchange.core.settings.maxModelLen >> 1)],
    n: 1,
    maxTokens: undefined,
    tool: undefined,
    isStream: formText(parts, 'stream') === 'true',
    streamUsage: formText(parts, 'stream_include_usage') === 'true' ? 'final' : 'none',
  }
  runGeneration(exchange, protocol, generation, transcriptionShape(file))
}

function transcriptionShape(file: FormPart): Shape {
  const chunk = (job: Job, choices: readonly unknown[]) => ({
    id: job.id,
    object: 'transcription.chunk',
    created: job.createdS,
    model: job.model.name,
    choices,
  })
  return {
    idPrefix: 'trsc-',
    streamType: 'text/event-stream; charset=utf-8',
    body: (job) => ({
      text: job.choices.map((choice) => answerText(choice.answer)).join(''),
      usage: { type: 'duration', seconds: Math.ceil(file.data.length / (2 * SAMPLE_RATE)) },
    }),
    token: (job, { piece, finish }) =>
      dataEvent(chunk(job, [{ delta: { content: piece }, finish_reason: finish ?? null, stop_reason: null }])),
    closing(job) {
      const { promptTokens, outputTokens } = usageOf(job)
      const usage = {
        prompt_tokens: promptTokens,
        total_tokens: promptTokens + outputTokens,
        completion_tokens: outputTokens,
      }
      return `${job.streamUsage === 'none' ? '' : dataEvent({ ...chunk(job, []), usage })}data: [DONE]\n\n`
    },
  }
}

const SPEECH_RULES: FieldRules = { input: { type: 'string', isRequired: true }, model: { type: 'string' } }

/** `POST /v1/audio/speech`: a tone as WAV, as long as the text. An echo comes as JSON instead. */
export function handleSpeech(exchange: Exchange, protocol: Protocol): void {
  const opened = openCall(exchange, protocol, SPEECH_RULES)
  if (opened === undefined) return
  const { call, core, reply } = exchange
  const text = stringOf(opened.body['input']) ?? ''
  runPrefill(exchange, protocol, { ...opened, prompts: [tokenize(text)] }, () => {
    if (call.isEcho) return reply.json(200, { sim_echo: arrivalOf(call) })
    reply.send(200, { 'content-type': 'audio/wav' }, toneFor(text, core.settings.seed))
  })
}

const IMAGE_RULES: FieldRules = {
  prompt: { type: 'string', isRequired: true },
  model: { type: 'string' },
  n: { type: 'int' },
}

/** `POST /v1/images/generations`. */
export function handleImages(exchange: Exchange, protocol: Protocol): void {
  const opened = openCall(exchange, protocol, IMAGE_RULES)
  if (opened === undefined) return
  const prompt = stringOf(opened.body['prompt']) ?? ''
  answerImages(exchange, protocol, { ...opened, prompt, n: numberOf(opened.body['n']) ?? 1 })
}

/** `POST /v1/images/edits`: a form with the image, the prompt and the model's name. */
export function handleImageEdits(exchange: Exchange, protocol: Protocol): void {
  const opened = openForm(exchange, protocol, 'image')
  if (opened === undefined) return
  const { parts, model } = opened
  const prompt = formText(parts, 'prompt') ?? ''
  answerImages(exchange, protocol, { model, body: {}, prompt, n: Number(formText(parts, 'n') ?? 1) })
}

/** A PNG of one pixel: what an image holds is of no interest here, that it is one is. */
const PIXEL_PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=='
const MAX_IMAGES = 10

function answerImages(
  exchange: Exchange,
  protocol: Protocol,
  input: {
    readonly model: ChosenModel
    readonly body: Generation['body']
    readonly prompt: string
    readonly n: number
  },
): void {
  const { call, core, reply } = exchange
  runPrefill(exchange, protocol, { ...input, prompts: [tokenize(input.prompt)] }, () => {
    const images = Math.min(MAX_IMAGES, Math.max(1, Math.floor(input.n) || 1))
    reply.json(200, {
      created: Math.floor(core.clock.wallMs() / 1000),
      data: Array.from({ length: images }, () => ({ b64_json: PIXEL_PNG, url: null, revised_prompt: null })),
      ...(call.isEcho ? { sim_echo: arrivalOf(call) } : {}),
    })
  })
}

function openForm(
  exchange: Exchange,
  protocol: Protocol,
  fileField: string,
): { readonly parts: readonly FormPart[]; readonly model: ChosenModel; readonly file: FormPart } | undefined {
  const { call, core } = exchange
  const parts = readMultipart(call.headers.get('content-type') ?? '', call.body) ?? []
  const file = parts.find((part) => part.name === fileField || part.name === `${fileField}[]`)
  if (file === undefined) {
    const missing = { type: 'missing', field: fileField, message: 'Field required', input: 'None' }
    protocol.refuseBody(exchange, { kind: 'fields', fields: [missing] })
    return undefined
  }
  const model = protocol.chooseModel(core, formText(parts, 'model'))
  if (!isProblem(model)) return { parts, model, file }
  protocol.refuse(exchange, model)
  return undefined
}

/** 16-bit mono PCM in a RIFF header: a tone whose pitch depends on the text. */
function toneFor(text: string, seed: number): Buffer {
  const samples = Math.min(MAX_SPEECH_SAMPLES, 400 * Math.max(1, tokenize(text).length))
  const wav = Buffer.alloc(44 + samples * 2)
  wav.write('RIFF', 0)
  wav.writeUInt32LE(36 + samples * 2, 4)
  wav.write('WAVEfmt ', 8)
  wav.writeUInt32LE(16, 16)
  wav.writeUInt16LE(1, 20)
  wav.writeUInt16LE(1, 22)
  wav.writeUInt32LE(SAMPLE_RATE, 24)
  wav.writeUInt32LE(SAMPLE_RATE * 2, 28)
  wav.writeUInt16LE(2, 32)
  wav.writeUInt16LE(16, 34)
  wav.write('data', 36)
  wav.writeUInt32LE(samples * 2, 40)
  const pitchHz = 200 + (hashText(text, seed) % 400)
  for (let i = 0; i < samples; i++) {
    wav.writeInt16LE(Math.round(8_000 * Math.sin((2 * Math.PI * pitchHz * i) / SAMPLE_RATE)), 44 + i * 2)
  }
  return wav
}
