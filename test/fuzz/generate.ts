import type { Random } from './random.ts'

/** Grammar-based texts (latin1): mostly valid, with every freedom that the grammar gives, and some that it does not. */

const bodies = [
  '',
  'x',
  'hello',
  '{"model":"m"}',
  'GET / HTTP/1.1\r\nhost: x\r\n\r\n',
  '0\r\n\r\n',
  '\r\n',
  '\0\xff'.repeat(20),
]

const plainFields = [
  'accept: */*',
  'X-A:b',
  'x: \ty z \t',
  'x-empty:',
  'x: a:b "c" \xe4',
  'Connection: close',
  'connection: keep-alive, x',
  'connection: x,',
  'content-type: application/json',
  'Expect: 100-continue',
  'expect: x',
  "!#$%&'*+-.^_`|~09azAZ: v",
  'te: trailers',
  'trailer: x',
  'upgrade: h2c',
  'Upgrade: websocket',
  'Connection: Upgrade',
  'keep-alive: timeout=5',
]

function cased(text: string, random: Random): string {
  if (random.chance(0.6)) return text
  return random.chance(0.5) ? text.toUpperCase() : text.replace(/^[a-z]/, (first) => first.toUpperCase())
}

function fieldsOf(random: Random): string[] {
  return random.times(random.below(4), () => random.of(plainFields))
}

/** A body with the field that frames it, or in a few cases one that does not. */
function framed(body: string, random: Random): { readonly field: string; readonly bytes: string } {
  if (random.chance(0.5)) {
    const length = random.chance(0.93) ? body.length : random.below(12)
    return { field: `${cased('content-length', random)}:${random.of(['', ' ', '\t'])}${length}`, bytes: body }
  }
  const coding = random.chance(0.93)
    ? cased('chunked', random)
    : random.of(['gzip', 'chunked, chunked', 'identity', 'chunked;q=1', ''])
  return { field: `${cased('transfer-encoding', random)}: ${coding}`, bytes: chunkedText(body, random) }
}

/** A chunked body (RFC 9112 7.1) of `body`. */
export function chunkedText(body: string, random: Random): string {
  let text = ''
  for (let at = 0; at < body.length; ) {
    const size = Math.min(body.length - at, 1 + random.below(12))
    text += `${sizeText(size, random)}${extension(random)}\r\n${body.slice(at, at + size)}\r\n`
    at += size
  }
  text += `${random.of(['0', '00', '000', '00000000'])}${extension(random)}\r\n`
  if (random.chance(0.2))
    text +=
      random.times(1 + random.below(3), () => random.of(['x: y', 'Z:', 'content-length: 3', 'a-b: "c"'])).join('\r\n') +
      '\r\n'
  return `${text}\r\n`
}

function sizeText(size: number, random: Random): string {
  const text = size.toString(16).padStart(1 + random.below(3), '0')
  return random.chance(0.5) ? text : text.toUpperCase()
}

function extension(random: Random): string {
  return random.chance(0.75)
    ? ''
    : random.of([';a', ';a=b', ';a="b;\\"c"', ';a;b=c', ';a=', ';', ' ;a', ';a =b', ';a=" \t"'])
}

/** One to four requests behind one another. */
export function requestStream(random: Random): string {
  return random.times(1 + random.below(4), () => request(random)).join(random.chance(0.95) ? '' : '\r\n')
}

function request(random: Random): string {
  const method = random.of(['GET', 'POST', 'POST', 'OPTIONS', 'HEAD', 'PUT', 'DELETE', 'PATCH', 'BREW', 'CONNECT'])
  const target = random.chance(0.8)
    ? random.of(['/', '/v1/chat/completions', '/v1/models?x=y&z', '/a%20b/{c}', '//x'])
    : random.of(['*', 'http://b/c', 'https://b:1?d', 'HTTP://b', 'b:80', 'http://u@b/', 'x'])
  const version = random.chance(0.95)
    ? random.chance(0.9)
      ? 'HTTP/1.1'
      : 'HTTP/1.0'
    : random.of(['HTTP/2.0', 'HTTP/0.9', 'http/1.1', 'HTTP/1.2'])
  const fields = fieldsOf(random)
  if (random.chance(0.96)) fields.push(`${cased('host', random)}: ${random.of(['a', 'a:80', '[::1]:8', '', 'a.b-c'])}`)
  let bytes = ''
  if (random.chance(0.6)) {
    const body = framed(random.of(bodies), random)
    fields.push(body.field)
    bytes = body.bytes
  }
  return `${method} ${target} ${version}\r\n${shuffled(fields, random).join('\r\n')}${fields.length > 0 ? '\r\n' : ''}\r\n${bytes}`
}

/** One to three answers behind one another, with interim ones between them. */
export function responseStream(random: Random): string {
  return random.times(1 + random.below(3), () => interims(random) + response(random)).join('')
}

function interims(random: Random): string {
  if (random.chance(0.8)) return ''
  const one = () =>
    random.of(['HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n', 'HTTP/1.1 102 \r\n\r\n'])
  return random.times(1 + random.below(3), one).join('')
}

function response(random: Random): string {
  const status = random.of([
    '200 OK',
    '200',
    '200 ',
    '503 Gr\xfc\xdfe \t!',
    '404 Not Found',
    '204 No Content',
    '304 Not Modified',
    '429 x',
  ])
  const fields = fieldsOf(random)
  let bytes = random.chance(0.5) ? '' : random.of(bodies)
  if (random.chance(0.85)) {
    const body = framed(random.of(bodies), random)
    fields.push(body.field)
    if (random.chance(0.9)) bytes = /^(204|304)/.test(status) ? '' : body.bytes
  }
  const version = random.chance(0.9) ? 'HTTP/1.1' : random.of(['HTTP/1.0', 'HTTP/2.0', 'HTTP/1.10', 'ICY'])
  return `${version} ${status}\r\n${shuffled(fields, random).join('\r\n')}${fields.length > 0 ? '\r\n' : ''}\r\n${bytes}`
}

function shuffled<T>(list: T[], random: Random): T[] {
  for (let i = list.length - 1; i > 0; i--) {
    const j = random.below(i + 1)
    const kept = list[i] as T
    list[i] = list[j] as T
    list[j] = kept
  }
  return list
}
