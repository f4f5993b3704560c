import type { ByteList } from '#struct/byte-list.ts'

/** A text field of a form: [start, end) is its bare value. Offsets count from the first byte of the body. */
export interface FormField {
  readonly name: string
  readonly start: number
  readonly end: number
}

const maxParts = 1024
const maxPartHeadBytes = 8192

/**
 * Boundary of a `multipart/form-data` content type, or undefined (RFC 2046 5.1.1: 1 to 70 characters). Two boundaries
 * are none: readers would choose differently.
 */
export function multipartBoundary(contentType: string): string | undefined {
  const type = /^multipart\/form-data[ \t]*(?=;|$)/i.exec(contentType)
  if (type === null) return undefined
  const boundaries = parametersOf(contentType, type[0].length)?.filter(({ name }) => name === 'boundary') ?? []
  const boundary = boundaries[0]?.value ?? ''
  return boundaries.length === 1 && boundary.length > 0 && boundary.length <= 70 ? boundary : undefined
}

/**
 * Finds the named text fields of a multipart form without touching file contents: looks for boundary lines with a
 * native search. Returns an explanation when the form is malformed. Like the parsers of the engines it takes a boundary
 * for one only if CRLF or `--` follows.
 */
export function scanForm(body: ByteList, boundary: string, names: ReadonlySet<string>): FormField[] | string {
  const data = body.length === 1 ? (body[0] as Buffer) : Buffer.concat(body)
  const delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1')
  const fields: FormField[] = []
  let pos = firstDelimiterEnd(data, delimiter)
  for (let part = 0; part < maxParts; part++) {
    if (pos < 0) return 'the closing boundary is missing'
    if (data[pos] === hyphen) return fields
    // At `pos` is the CRLF of the boundary line; with no header at all it is the first half of the blank line.
    const headEnd = data.indexOf('\r\n\r\n', pos, 'latin1')
    if (headEnd < 0 || headEnd - pos > maxPartHeadBytes) return 'a part has no header'
    const name = fieldName(data.toString('latin1', pos + 2, headEnd))
    if (name === null) return 'the header of a part is malformed'
    const next = delimiterEnd(data, delimiter, headEnd + 2)
    const end = next - delimiter.length
    // Without a value the boundary shares its CRLF with the blank line.
    if (next >= 0 && name !== undefined && names.has(name) && end >= headEnd + 4) {
      fields.push({ name, start: headEnd + 4, end })
    }
    pos = next
  }
  return `the form has more than ${maxParts} parts`
}

const hyphen = 0x2d

/** The first delimiter may stand at the very beginning, without a line break before it. */
function firstDelimiterEnd(data: Buffer, delimiter: Buffer): number {
  const length = delimiter.length - 2
  const isAtStart = data.length > length && data.compare(delimiter, 2, delimiter.length, 0, length) === 0
  return isAtStart && endsLine(data, length) ? length : delimiterEnd(data, delimiter, 0)
}

/** Position behind the next delimiter, or -1. */
function delimiterEnd(data: Buffer, delimiter: Buffer, from: number): number {
  let found = data.indexOf(delimiter, from)
  while (found >= 0 && !endsLine(data, found + delimiter.length)) found = data.indexOf(delimiter, found + 2)
  return found < 0 ? -1 : found + delimiter.length
}

/** Whether `--` or CRLF is at `pos`. */
function endsLine(data: Buffer, pos: number): boolean {
  return data[pos] === hyphen ? data[pos + 1] === hyphen : data[pos] === 0x0d && data[pos + 1] === 0x0a
}

/** Name of a plain field; undefined for files and for other parts; null when the header is malformed or ambiguous. */
function fieldName(head: string): string | undefined | null {
  if (head === '') return undefined
  let disposition: string | undefined
  for (const line of head.split('\r\n')) {
    const match = /^([!#$%&'*+.^_`|~0-9a-z-]+):[ \t]*(.*)$/i.exec(line)
    if (match === null) return null
    if (match[1]?.toLowerCase() !== 'content-disposition') continue
    if (disposition !== undefined) return null
    disposition = match[2]
  }
  const type = /^form-data[ \t]*(?=;|$)/i.exec(disposition ?? '')
  if (disposition === undefined || type === null) return undefined
  const parameters = parametersOf(disposition, type[0].length)
  if (parameters === undefined) return null
  const values = parameters.filter(({ name }) => name === 'name')
  if (values.length > 1) return null
  return parameters.some(({ name }) => name === 'filename' || name === 'filename*') ? undefined : values[0]?.value
}

/** Parameters from `from` on, `; name=value` or `; name="value"`, names in lower case; undefined when malformed. */
function parametersOf(text: string, from: number): { name: string; value: string }[] | undefined {
  const pattern = /[ \t]*;[ \t]*(?:([^\s;="]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*)))?/gy
  const parameters: { name: string; value: string }[] = []
  pattern.lastIndex = from
  let end = from
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    end = pattern.lastIndex
    const value = match[2]?.replace(/\\(.)/g, '$1') ?? match[3] ?? ''
    if (match[1] !== undefined) parameters.push({ name: match[1].toLowerCase(), value })
  }
  return text.slice(end).trim() === '' ? parameters : undefined
}
