/** One part of a multipart/form-data body. */
export interface FormPart {
  readonly name: string
  /** Set for files. */
  readonly fileName: string | undefined
  readonly data: Buffer
}

/** Most parts read; further ones are left out. */
const MAX_PARTS = 64

/** Splits a multipart/form-data body (RFC 7578); undefined when it is none. */
export function readMultipart(contentType: string, body: Buffer): FormPart[] | undefined {
  const match = /^multipart\/form-data\s*;.*?boundary=(?:"([^"]+)"|([^\s;]+))/i.exec(contentType)
  const boundary = match?.[1] ?? match?.[2]
  if (boundary === undefined) return undefined
  const delimiter = Buffer.from(`--${boundary}`)
  const parts: FormPart[] = []
  let start = body.indexOf(delimiter)
  while (start >= 0 && parts.length < MAX_PARTS) {
    const from = start + delimiter.length
    const next = body.indexOf(delimiter, from)
    if (next < 0) break
    const part = readPart(body.subarray(from, next))
    if (part !== undefined) parts.push(part)
    start = next
  }
  return parts
}

/** Reads one part: a line break, header lines, an empty line, the data, a line break. */
function readPart(bytes: Buffer): FormPart | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n')
  if (headEnd < 0) return undefined
  const head = bytes.toString('utf8', 0, headEnd)
  const name = /;\s*name="([^"]*)"/i.exec(head)?.[1]
  if (name === undefined) return undefined
  const fileName = /;\s*filename="([^"]*)"/i.exec(head)?.[1]
  return { name, fileName, data: bytes.subarray(headEnd + 4, bytes.length - 2) }
}

/** The text of the first part with that name. */
export function formText(parts: readonly FormPart[], name: string): string | undefined {
  return parts.find((part) => part.name === name)?.data.toString()
}
