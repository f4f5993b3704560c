/** A request that must be refused, whatever is behind it. */
interface BadHead {
  readonly name: string
  readonly reasons: readonly string[]
  readonly text: (path: string, body: string, id: string) => string
}

const malformed = ['malformed-request'] as const

function bad(
  name: string,
  lines: (body: string) => readonly string[],
  reasons: readonly string[] = malformed,
): BadHead {
  return {
    name,
    reasons,
    text: (path, body, id) =>
      `${[`POST ${path} HTTP/1.1`, 'host: gateway.test', `x-request-id: ${id}`, ...lines(body)].join('\r\n')}\r\n\r\n${body}`,
  }
}

/** Heads that are not HTTP, or could mean two things. */
export const badHeads: readonly BadHead[] = [
  bad('length and coding', (body) => [`content-length: ${body.length}`, 'transfer-encoding: chunked']),
  bad('two lengths', (body) => [`content-length: ${body.length}`, `content-length: ${body.length + 1}`]),
  bad('negative length', () => ['content-length: -1']),
  bad('signed length', (body) => [`content-length: +${body.length}`]),
  bad('hexadecimal length', () => ['content-length: 0x10']),
  bad('folded header', (body) => ['x-a: b', ' c', `content-length: ${body.length}`]),
  bad('space before the colon', (body) => [`content-length : ${body.length}`]),
  bad('no colon', (body) => ['nothing', `content-length: ${body.length}`]),
  bad('control byte', (body) => ['x-a: b\u0000c', `content-length: ${body.length}`]),
  bad('two hosts', (body) => ['host: other.test', `content-length: ${body.length}`]),
  bad('bare line feed', (body) => [`x-a: b\ncontent-length: ${body.length}`]),
  bad('coding twice', () => ['transfer-encoding: chunked', 'transfer-encoding: chunked'], [
    'malformed-request',
    'unsupported-transfer-coding',
  ]),
  bad('unknown coding', () => ['transfer-encoding: gzip'], ['malformed-request', 'unsupported-transfer-coding']),
  {
    name: 'HTTP/2.0',
    reasons: ['unsupported-http-version', 'malformed-request'],
    text: (path, body) =>
      `POST ${path} HTTP/2.0\r\nhost: gateway.test\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  },
  {
    name: 'no host',
    reasons: malformed,
    text: (path, body) => `POST ${path} HTTP/1.1\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  },
]
