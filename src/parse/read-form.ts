import { type Refusal, refuse } from '#core/refusal.ts'
import type { Body } from '#core/request.ts'
import { byteRange } from '#struct/byte-list.ts'
import { multipartBoundary, scanForm } from '#wire/multipart-form.ts'
import { type BodyFacts, bytesPerToken, noStreamOptions } from './body-facts.ts'
import { soundTokensOf } from './media-tokens.ts'

const wanted: ReadonlySet<string> = new Set(['model', 'stream', 'user'])
const maxValueBytes = 1024

/** Reads a multipart form: the model is a form field, the files, mostly sound, count by their size. */
export function readForm(body: Body, contentType: string | undefined): BodyFacts | Refusal {
  const boundary = multipartBoundary(contentType ?? '')
  if (boundary === undefined) {
    return refuse('malformed-multipart', 'This path takes multipart/form-data with a boundary.')
  }
  const fields = scanForm(body.slices, boundary, wanted)
  if (typeof fields === 'string') return refuse('malformed-multipart', `The form is malformed: ${fields}.`)
  const facts = { model: '', session: undefined as string | undefined, stream: false }
  const modelSpans: { start: number; end: number }[] = []
  for (const { name, start, end } of fields) {
    if (end - start > maxValueBytes) {
      if (name === 'model') return refuse('missing-model', 'The model name is too long.', { param: 'model' })
      continue
    }
    const value = byteRange(body.slices, start, end).toString('utf8')
    if (name === 'stream') facts.stream = value === 'true' || value === '1'
    else if (name === 'user') facts.session = value === '' ? undefined : value
    else {
      facts.model = value.trim()
      modelSpans.push({ start, end })
    }
  }
  return {
    ...facts,
    modelSpans,
    streamOptions: noStreamOptions,
    promptSpans: [],
    promptBytes: bytesPerToken * soundTokensOf(body.bytes),
    maxTokens: undefined,
    cacheSalt: undefined,
  }
}
