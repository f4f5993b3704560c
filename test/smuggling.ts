/**
 * Request smuggling, response splitting and their relatives: what a peer may send so that two readers disagree on where
 * a message ends, and what the gateway makes of it. docs/reference/http1.md shows these tables.
 */
import type { RefusalReason } from '#core/refusal.ts'

/** The target of every request that is meant to be read. */
export const chatPath = '/v1/chat/completions'
const body = '{"model":"tiny"}'
const hidden = '{"model":"tiny","x":1}'

/** A request that must never be read as one: it stands where only a reader that has lost its place looks for one. */
export const inner = `POST ${chatPath}?smuggled HTTP/1.1\r\nhost: b\r\ncontent-length: ${hidden.length}\r\n\r\n${hidden}`

/** Sent behind each case, to see whether the gateway has kept its place. */
export const probe = `POST ${chatPath}?probe HTTP/1.1\r\nhost: a\r\ncontent-length: ${body.length}\r\n\r\n${body}`

/** What a client sends. */
export interface RequestCase {
  readonly group: string
  readonly name: string
  /** As latin1. */
  readonly bytes: string
  /** `served`: read as one request, and the next one is found; `ends`: read as one, and the last. */
  readonly answer: 'served' | 'ends' | RefusalReason
  /** What is served as its body; by default the valid body. */
  readonly body?: string
  readonly why: string
}

const start = `POST ${chatPath} HTTP/1.1\r\n`
const post = (fields: string, content: string): string => `${start}host: a\r\n${fields}\r\n${content}`
const length = `content-length: ${body.length}\r\n`
const withLength = (value: string): string => post(`content-length:${value}\r\n`, body + inner)
const withCoding = (field: string): string => post(`${field}\r\n`, `10\r\n${body}\r\n0\r\n\r\n${inner}`)
const chunked = (content: string): string => post('transfer-encoding: chunked\r\n', content)
const sized = (size: string): string => chunked(`${size}\r\n${body}\r\n0\r\n\r\n${inner}`)
const request = (line: string, host = 'host: a\r\n'): string => `${line}\r\n${host}${length}\r\n${body}`

type Row = readonly [name: string, bytes: string, answer: RequestCase['answer'], why: string, body?: string]

function group(name: string, rows: readonly Row[]): RequestCase[] {
  return rows.map(([row, bytes, answer, why, content]) => ({
    group: name,
    name: row,
    bytes,
    answer,
    why,
    ...(content === undefined ? {} : { body: content }),
  }))
}

const bad = 'malformed-request'
const codingUnknown = 'unsupported-transfer-coding'
const ambiguous = 'RFC 9112 6.3: both is an attack; refused, whichever would win'
const digits = 'RFC 9110 8.6: digits only'
const oneCoding = 'RFC 9112 6.1: only chunked is understood, alone'
const noToken = 'RFC 9112 5.1: a name is a token right before its colon'

/** Every case of the request direction. */
export const requestCases: readonly RequestCase[] = [
  ...group('length and coding', [
    ['CL.TE', post(`content-length: 6\r\ntransfer-encoding: chunked\r\n`, `0\r\n\r\nG${inner}`), bad, ambiguous],
    [
      'TE.CL',
      post(`transfer-encoding: chunked\r\ncontent-length: 4\r\n`, `5c\r\n${inner}\r\n0\r\n\r\n`),
      bad,
      ambiguous,
    ],
    [
      'CL.TE, the length zero',
      post('content-length: 0\r\ntransfer-encoding: chunked\r\n', `0\r\n\r\n${inner}`),
      bad,
      ambiguous,
    ],
    ['a length beside another coding', post(`${length}transfer-encoding: identity\r\n`, body + inner), bad, ambiguous],
    [
      'a length in the trailers',
      chunked(`10\r\n${body}\r\n0\r\ncontent-length: 90\r\n\r\n${inner}`),
      bad,
      'RFC 9110 6.5.1: framing may not stand in trailers',
    ],
    [
      'a coding in the trailers',
      chunked(`10\r\n${body}\r\n0\r\ntransfer-encoding: chunked\r\n\r\n${inner}`),
      bad,
      'RFC 9110 6.5.1: framing may not stand in trailers',
    ],
    [
      'a host in the trailers',
      chunked(`10\r\n${body}\r\n0\r\nhost: b\r\n\r\n`),
      bad,
      'RFC 9110 6.5.1: routing may not stand in trailers',
    ],
    [
      'a connection option in the trailers',
      chunked(`10\r\n${body}\r\n0\r\nconnection: close\r\n\r\n${inner}`),
      bad,
      'RFC 9110 6.5.1: llhttp, and what stands behind it, would end the connection here',
    ],
    [
      'other trailers',
      chunked(`10\r\n${body}\r\n0\r\nx-checksum: y\r\nauthorization: z\r\n\r\n`),
      'served',
      'RFC 9112 7.1.2: dropped, never merged into the head',
    ],
  ]),
  ...group('transfer-encoding', [
    [
      'in capitals',
      withCoding('Transfer-Encoding: CHUNKED').replace(inner, ''),
      'served',
      'RFC 9112 7: codings know no case',
    ],
    [
      'blanks around',
      withCoding('transfer-encoding:  chunked  ').replace(inner, ''),
      'served',
      'RFC 9112 5.1: not part of the value',
    ],
    [
      'twice',
      withCoding('transfer-encoding: chunked\r\ntransfer-encoding: chunked'),
      bad,
      'RFC 9112 7.1: chunked is applied once',
    ],
    ['twice in a list', withCoding('transfer-encoding: chunked, chunked'), codingUnknown, oneCoding],
    ['chunked, identity', withCoding('transfer-encoding: chunked, identity'), codingUnknown, oneCoding],
    ['identity, chunked', withCoding('transfer-encoding: identity, chunked'), codingUnknown, oneCoding],
    ['gzip, chunked', withCoding('transfer-encoding: gzip, chunked'), codingUnknown, oneCoding],
    ['another, then chunked', withCoding('transfer-encoding: cow\r\ntransfer-encoding: chunked'), bad, oneCoding],
    ['chunked, then another', withCoding('transfer-encoding: chunked\r\ntransfer-encoding: cow'), bad, oneCoding],
    ['a comma behind', withCoding('transfer-encoding: chunked,'), codingUnknown, oneCoding],
    ['a comma before', withCoding('transfer-encoding: ,chunked'), codingUnknown, oneCoding],
    ['xchunked', withCoding('transfer-encoding: xchunked'), codingUnknown, oneCoding],
    ['chunked with a parameter', withCoding('transfer-encoding: chunked;q=1'), codingUnknown, oneCoding],
    ['in quotes', withCoding('transfer-encoding: "chunked"'), codingUnknown, oneCoding],
    ['in single quotes', withCoding("transfer-encoding: 'chunked'"), codingUnknown, oneCoding],
    ['broken in two', withCoding('transfer-encoding: chu nked'), codingUnknown, oneCoding],
    ['empty', withCoding('transfer-encoding:'), codingUnknown, oneCoding],
    ['identity', post('transfer-encoding: identity\r\n', body), codingUnknown, 'RFC 9112 7: no such coding any more'],
    ['a vertical tab before', withCoding('transfer-encoding:\vchunked'), bad, 'RFC 9110 5.5: no control bytes'],
    ['a form feed behind', withCoding('transfer-encoding: chunked\f'), bad, 'RFC 9110 5.5: no control bytes'],
    ['a NUL behind', withCoding('transfer-encoding: chunked\0'), bad, 'RFC 9110 5.5: no control bytes'],
    [
      'a no-break space before',
      withCoding('transfer-encoding: \xa0chunked'),
      codingUnknown,
      'RFC 9110 5.6.3: only SP and HTAB are blank',
    ],
    ['a blank before the colon', withCoding('transfer-encoding : chunked'), bad, noToken],
    ['a tab before the colon', withCoding('transfer-encoding\t: chunked'), bad, noToken],
    ['a blank before the name', withCoding(' transfer-encoding: chunked'), bad, 'RFC 9112 5.2: a folded line'],
    ['a line behind a bare LF', withCoding('x: y\ntransfer-encoding: chunked'), bad, 'RFC 9112 2.2: CRLF only'],
    ['a line behind a bare CR', withCoding('x: y\rtransfer-encoding: chunked'), bad, 'RFC 9112 2.2: no bare CR'],
    ['folded', withCoding('transfer-encoding:\r\n chunked'), bad, 'RFC 9112 5.2: no folded lines'],
    [
      'in a header name that only looks alike',
      withCoding('transfer_encoding: chunked').replace(`10\r\n${body}\r\n0\r\n\r\n${inner}`, ''),
      'served',
      'RFC 9110 5.1: another field, which frames nothing',
      '',
    ],
    [
      'with HTTP/1.0',
      withCoding('transfer-encoding: chunked').replace('HTTP/1.1', 'HTTP/1.0'),
      bad,
      'RFC 9112 6.1: HTTP/1.0 has none',
    ],
  ]),
  ...group('content-length', [
    [
      'twice, different',
      post(`${length}content-length: 0\r\n`, body + inner),
      bad,
      'RFC 9112 6.3: refused, whichever would win',
    ],
    ['twice, equal', post(length + length, body), bad, 'RFC 9112 6.3: allows to refuse it'],
    ['a list, equal', withLength(` ${body.length}, ${body.length}`), bad, 'RFC 9112 6.3: allows to refuse it'],
    ['a list, different', withLength(` ${body.length}, 0`), bad, 'RFC 9112 6.3'],
    ['with a plus', withLength(` +${body.length}`), bad, digits],
    ['negative', withLength(' -1'), bad, digits],
    ['minus zero', withLength(' -0'), bad, digits],
    ['hexadecimal', withLength(' 0x10'), bad, digits],
    ['with an underscore', withLength(' 1_6'), bad, digits],
    ['with a fraction', withLength(' 16.0'), bad, digits],
    ['with an exponent', withLength(' 1e1'), bad, digits],
    ['broken in two', withLength(' 1 6'), bad, digits],
    ['empty', withLength(''), bad, digits],
    ['in quotes', withLength(' "16"'), bad, digits],
    ['other digits', withLength(' \xb9\xb6'), bad, digits],
    ['a tab before', withLength(`\t${body.length}`), bad, 'RFC 9112 5.1 allows it, but readers differ'],
    ['a tab behind', withLength(` ${body.length}\t`), bad, 'RFC 9112 5.1 allows it, but readers differ'],
    ['beyond 64 bits', withLength(' 18446744073709551632'), bad, 'would wrap to 16 in 64 bits'],
    ['beyond 53 bits', withLength(' 9007199254740993'), bad, 'is not exact as a number'],
    [
      'with leading zeros',
      post(`content-length: 000${body.length}\r\n`, body),
      'served',
      'RFC 9110 8.6: digits, read as decimal',
    ],
    ['a blank before the colon', post(`content-length : ${body.length}\r\n`, body), bad, noToken],
    ['a line behind a bare LF', post(`x: y\ncontent-length: ${body.length}\r\n`, body), bad, 'RFC 9112 2.2: CRLF only'],
    ['shorter than what comes', post('content-length: 0\r\n', ''), 'served', 'what follows is the next request', ''],
    ['a request in the body', post(`content-length: ${inner.length}\r\n`, inner), 'served', 'a body is bytes', inner],
    [
      'more than the limit',
      post('content-length: 999999999999\r\n', ''),
      'body-too-large',
      'limits.bodyBytes; refused before a byte is read',
    ],
  ]),
  ...group('chunks', [
    ['in pieces', chunked(`1\r\n{\r\n00f\r\n${body.slice(1)}\r\n000\r\n\r\n`), 'served', 'RFC 9112 7.1'],
    [
      'a size in capitals',
      chunked(`A\r\n${body.slice(0, 10)}\r\n6\r\n${body.slice(10)}\r\n0\r\n\r\n`),
      'served',
      'RFC 9112 7.1',
    ],
    [
      'a request in the data',
      chunked(`${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`),
      'served',
      'a body is bytes',
      inner,
    ],
    ['a last chunk in the data', chunked(`5\r\n0\r\n\r\n\r\n0\r\n\r\n`), 'served', 'a body is bytes', '0\r\n\r\n'],
    ['a size beyond 32 bits', sized('100000010'), bad, 'would wrap to 16; eight digits at most'],
    ['a size beyond 64 bits', sized('10000000000000010'), bad, 'would wrap to 16; eight digits at most'],
    ['a size with many zeros', sized('000000000000000010'), bad, 'eight digits at most'],
    ['a negative size', sized('-10'), bad, 'RFC 9112 7.1: hexadecimal digits only'],
    ['a size with a plus', sized('+10'), bad, 'RFC 9112 7.1: hexadecimal digits only'],
    ['a size with 0x', sized('0x10'), bad, 'RFC 9112 7.1: hexadecimal digits only'],
    ['a size with an underscore', sized('1_0'), bad, 'RFC 9112 7.1: hexadecimal digits only'],
    ['a blank before a size', sized(' 10'), bad, 'RFC 9112 7.1'],
    ['a blank behind a size', sized('10 '), bad, 'RFC 9112 7.1'],
    ['a tab behind a size', sized('10\t'), bad, 'RFC 9112 7.1'],
    ['no size', sized(''), bad, 'RFC 9112 7.1: at least one digit'],
    ['a size ended by LF', chunked(`10\n${body}\r\n0\r\n\r\n${inner}`), bad, 'RFC 9112 7.1: CRLF only'],
    ['a size ended by CR', chunked(`10\r${body}\r\n0\r\n\r\n${inner}`), bad, 'RFC 9112 7.1: CRLF only'],
    ['a size ended by CR CR LF', chunked(`10\r\r\n${body}\r\n0\r\n\r\n${inner}`), bad, 'RFC 9112 7.1: CRLF only'],
    ['data ended by LF', chunked(`10\r\n${body}\n0\r\n\r\n${inner}`), bad, 'RFC 9112 7.1: CRLF only'],
    ['data longer than its size', chunked(`f\r\n${body}\r\n0\r\n\r\n${inner}`), bad, 'RFC 9112 7.1'],
    ['data shorter than its size', chunked(`11\r\n${body}\r\n0\r\n\r\n${inner}`), bad, 'RFC 9112 7.1'],
    ['a last chunk ended by LF', chunked(`10\r\n${body}\r\n0\n\n${inner}`), bad, 'RFC 9112 7.1: CRLF only'],
    ['the end ended by LF', chunked(`10\r\n${body}\r\n0\r\n\n${inner}`), bad, 'RFC 9112 7.1: CRLF only'],
    ['the end ended by CR', chunked(`10\r\n${body}\r\n0\r\n\r${inner}`), bad, 'RFC 9112 7.1: CRLF only'],
    ['extensions', chunked(`10;a;b=c;d="e;\\"f"\r\n${body}\r\n0;x\r\n\r\n`), 'served', 'RFC 9112 7.1.1: read over'],
    [
      'an extension with a bare LF',
      chunked(`10;a\nb\r\n${body}\r\n0\r\n\r\n${inner}`),
      bad,
      'RFC 9112 7.1.1: the terminator of TERM.EXT attacks',
    ],
    ['an extension with a bare CR', chunked(`10;a\rb\r\n${body}\r\n0\r\n\r\n${inner}`), bad, 'RFC 9112 7.1.1'],
    [
      'an extension with a quoted CRLF',
      chunked(`10;a="\r\n0\r\n\r\n${inner}"\r\n${body}\r\n0\r\n\r\n`),
      bad,
      'RFC 9110 5.6.4: no line ends in quotes',
    ],
    ['an extension with an open quote', chunked(`10;a="b\r\n${body}\r\n0\r\n\r\n${inner}`), bad, 'RFC 9112 7.1.1'],
    ['an empty extension', chunked(`10;\r\n${body}\r\n0\r\n\r\n${inner}`), bad, 'RFC 9112 7.1.1: a name is needed'],
    [
      'blanks around an extension',
      chunked(`10 ; a\r\n${body}\r\n0\r\n\r\n${inner}`),
      bad,
      'RFC 9112 7.1.1: allowed "bad" white space; llhttp refuses it too',
    ],
    ['a NUL in an extension', chunked(`10;a\0\r\n${body}\r\n0\r\n\r\n${inner}`), bad, 'RFC 9112 7.1.1'],
    [
      'an extension of 20 KB',
      chunked(`10;${'a'.repeat(20_000)}\r\n${body}\r\n0\r\n\r\n${inner}`),
      bad,
      '16 KiB for all extensions and trailers of a body',
    ],
    [
      'trailers of 20 KB',
      chunked(`10\r\n${body}\r\n0\r\n${`x: ${'y'.repeat(97)}\r\n`.repeat(200)}\r\n${inner}`),
      bad,
      '16 KiB for all extensions and trailers of a body',
    ],
    ['a trailer with a bare LF', chunked(`10\r\n${body}\r\n0\r\nx: y\n\r\n${inner}`), bad, 'RFC 9112 2.2: CRLF only'],
    [
      'a folded trailer',
      chunked(`10\r\n${body}\r\n0\r\nx: y\r\n z\r\n\r\n${inner}`),
      bad,
      'RFC 9112 5.2: no folded lines',
    ],
    ['a trailer without a colon', chunked(`10\r\n${body}\r\n0\r\n${inner}`), bad, 'RFC 9112 7.1.2'],
  ]),
  ...group('lines', [
    ['all ended by LF', request(`POST ${chatPath} HTTP/1.1`).replaceAll('\r\n', '\n'), bad, 'RFC 9112 2.2: CRLF only'],
    [
      'the request line ended by LF',
      `POST ${chatPath} HTTP/1.1\nhost: a\r\n${length}\r\n${body}`,
      bad,
      'RFC 9112 2.2: CRLF only',
    ],
    ['the head ended by LF LF', `${start}host: a\r\n${length}\n${body}`, bad, 'RFC 9112 2.2: CRLF only'],
    ['a bare CR in a value', post(`x: a\rb\r\n${length}`, body), bad, 'RFC 9112 2.2: no bare CR'],
    [
      'a bare CR as the end of the head',
      `${start}host: a\r\n${length}\r${body}${inner}`,
      bad,
      'RFC 9112 2.2: no bare CR',
    ],
    [
      'an empty line before the request',
      `\r\n${request(`POST ${chatPath} HTTP/1.1`)}`,
      'served',
      'RFC 9112 2.2: one is read over',
    ],
    [
      'two empty lines before the request',
      `\r\n\r\n${request(`POST ${chatPath} HTTP/1.1`)}`,
      bad,
      'RFC 9112 2.2: at least one; more is no HTTP',
    ],
    ['an LF before the request', `\n${request(`POST ${chatPath} HTTP/1.1`)}`, bad, 'RFC 9112 2.2: CRLF only'],
    ['a blank before the request line', ` ${request(`POST ${chatPath} HTTP/1.1`)}`, bad, 'RFC 9112 3'],
    ['a folded value', post(`x: a\r\n b\r\n${length}`, body), bad, 'RFC 9112 5.2: no folded lines'],
    ['a value folded by a tab', post(`x: a\r\n\tb\r\n${length}`, body), bad, 'RFC 9112 5.2: no folded lines'],
    [
      'a folded line before the first field',
      `${start} host: a\r\nhost: a\r\n${length}\r\n${body}`,
      bad,
      'RFC 9112 2.2: white space before the first field',
    ],
    ['a NUL in a value', post(`x: a\0b\r\n${length}`, body), bad, 'RFC 9110 5.5: no control bytes'],
    ['a NUL in a name', post(`x\0y: a\r\n${length}`, body), bad, noToken],
    ['a name in quotes', post(`"x": a\r\n${length}`, body), bad, noToken],
    ['an empty name', post(`: a\r\n${length}`, body), bad, noToken],
    ['a line without a colon', post(`x\r\n${length}`, body), bad, noToken],
    ['a name with bytes above 0x7f', post(`x\xe4: a\r\n${length}`, body), bad, noToken],
    [
      'a value with bytes above 0x7f',
      post(`x: \xe4\xff\r\n${length}`, body),
      'served',
      'RFC 9110 5.5: obs-text passes as it came',
    ],
    ['200 fields', post(`${'x: y\r\n'.repeat(200)}${length}`, body), 'head-too-large', 'limits.headerCount'],
    ['a field of 70 KB', post(`x: ${'y'.repeat(70_000)}\r\n${length}`, body), 'head-too-large', 'limits.headBytes'],
  ]),
  ...group('request line', [
    ['a tab for a blank', request(`POST\t${chatPath} HTTP/1.1`), bad, 'RFC 9112 3: one SP'],
    ['two blanks', request(`POST  ${chatPath} HTTP/1.1`), bad, 'RFC 9112 3: one SP'],
    ['a blank in the target', request(`POST ${chatPath} x HTTP/1.1`), bad, 'RFC 9112 3.2'],
    ['a blank behind the version', request(`POST ${chatPath} HTTP/1.1 `), bad, 'RFC 9112 3'],
    ['a second request in the target', request(`POST ${chatPath}\rGET / HTTP/1.1`), bad, 'RFC 9112 2.2: no bare CR'],
    ['a fragment', request(`POST ${chatPath}#x HTTP/1.1`), bad, 'RFC 9112 3.2'],
    ['a backslash', request(`POST \\v1\\chat HTTP/1.1`), bad, 'RFC 9112 3.2: no form of a target'],
    ['bytes above 0x7f', request(`POST ${chatPath}?\xe4 HTTP/1.1`), bad, 'RFC 3986 2'],
    ['a method that is no token', request(`PO"ST ${chatPath} HTTP/1.1`), bad, 'RFC 9110 9.1'],
    [
      'a method in lower case',
      request(`post ${chatPath} HTTP/1.1`),
      'served',
      'RFC 9110 9.1: another method, which no path has',
    ],
    [
      'a method nobody knows',
      request(`BREW ${chatPath} HTTP/1.1`),
      'served',
      'RFC 9110 9.1: any token; the paths decide',
    ],
    ['no version (HTTP/0.9)', `GET ${chatPath}\r\n\r\n${inner}`, bad, 'RFC 9112 2.3'],
    ['HTTP/0.9', request(`POST ${chatPath} HTTP/0.9`), 'unsupported-http-version', 'RFC 9110 15.6.6'],
    ['HTTP/1.2', request(`POST ${chatPath} HTTP/1.2`), 'unsupported-http-version', 'RFC 9110 15.6.6'],
    ['HTTP/2.0', request(`POST ${chatPath} HTTP/2.0`), 'unsupported-http-version', 'RFC 9110 15.6.6'],
    [
      'the preface of HTTP/2',
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      'unsupported-http-version',
      'RFC 9113 3.4; served where the listener allows h2c',
    ],
    ['HTTP/1.10', request(`POST ${chatPath} HTTP/1.10`), bad, 'RFC 9112 2.3: one digit'],
    ['HTTP/01.1', request(`POST ${chatPath} HTTP/01.1`), bad, 'RFC 9112 2.3: one digit'],
    ['http/1.1', request(`POST ${chatPath} http/1.1`), bad, 'RFC 9112 2.3: case matters'],
    ['authority-form', request('CONNECT b:443 HTTP/1.1'), bad, 'RFC 9112 3.2.3: no proxy for others'],
    ['CONNECT with a path', request(`CONNECT ${chatPath} HTTP/1.1`), bad, 'RFC 9112 3.2.3'],
    ['asterisk-form', `OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n`, 'served', 'RFC 9112 3.2.4', ''],
    ['asterisk-form with POST', request('POST * HTTP/1.1'), bad, 'RFC 9112 3.2.4: OPTIONS only'],
    ['absolute-form', request(`POST http://a${chatPath} HTTP/1.1`), 'served', 'RFC 9112 3.2.2'],
    [
      'absolute-form with another host',
      request(`POST http://b${chatPath} HTTP/1.1`),
      'served',
      'RFC 9112 3.2.2: the host of the target counts, the other is forgotten',
    ],
    ['absolute-form with user information', request(`POST http://u@a${chatPath} HTTP/1.1`), bad, 'RFC 9110 4.2.4'],
    ['absolute-form without a host', request(`POST http:///a HTTP/1.1`), bad, 'RFC 9110 4.2.1'],
    ['another scheme', request(`POST file:///etc/passwd HTTP/1.1`), bad, 'RFC 9112 3.2'],
  ]),
  ...group('host', [
    ['none', request(`POST ${chatPath} HTTP/1.1`, ''), bad, 'RFC 9112 3.2'],
    ['two', request(`POST ${chatPath} HTTP/1.1`, 'host: a\r\nhost: b\r\n'), bad, 'RFC 9112 3.2'],
    ['two, equal', request(`POST ${chatPath} HTTP/1.1`, 'host: a\r\nHost: a\r\n'), bad, 'RFC 9112 3.2'],
    [
      'two, one of them with a blank before the colon',
      request(`POST ${chatPath} HTTP/1.1`, 'host: a\r\nhost : b\r\n'),
      bad,
      noToken,
    ],
    [
      'empty',
      request(`POST ${chatPath} HTTP/1.1`, 'host:\r\n'),
      'served',
      'RFC 9112 3.2: for targets without authority',
    ],
    ['a list', request(`POST ${chatPath} HTTP/1.1`, 'host: a, b\r\n'), bad, 'RFC 9110 7.2: host [":" port]'],
    ['with user information', request(`POST ${chatPath} HTTP/1.1`, 'host: u@a\r\n'), bad, 'RFC 9110 7.2'],
    ['with a path', request(`POST ${chatPath} HTTP/1.1`, 'host: a/b\r\n'), bad, 'RFC 9110 7.2'],
    ['two ports', request(`POST ${chatPath} HTTP/1.1`, 'host: a:80:81\r\n'), bad, 'RFC 9110 7.2'],
    ['a port without a host', request(`POST ${chatPath} HTTP/1.1`, 'host: :80\r\n'), bad, 'RFC 9110 4.2.1'],
    ['a port that is none', request(`POST ${chatPath} HTTP/1.1`, 'host: a:8x\r\n'), bad, 'RFC 3986 3.2.3'],
    ['an address of IPv6', request(`POST ${chatPath} HTTP/1.1`, 'host: [::1]:80\r\n'), 'served', 'RFC 3986 3.2.2'],
    ['an open bracket', request(`POST ${chatPath} HTTP/1.1`, 'host: [::1\r\n'), bad, 'RFC 3986 3.2.2'],
    ['none with HTTP/1.0', request(`POST ${chatPath} HTTP/1.0`, ''), 'ends', 'RFC 9112 3.2'],
  ]),
  ...group('connection', [
    ['close', post(`${length}connection: close\r\n`, body + inner), 'ends', 'RFC 9112 9.6: what follows is not read'],
    ['close among others', post(`${length}connection: x, CLOSE\r\n`, body + inner), 'ends', 'RFC 9112 9.6'],
    ['HTTP/1.0', `${request(`POST ${chatPath} HTTP/1.0`)}${inner}`, 'ends', 'RFC 9112 9.3'],
    [
      'HTTP/1.0 with keep-alive',
      request(`POST ${chatPath} HTTP/1.0`, 'connection: keep-alive\r\n'),
      'served',
      'RFC 9112 C.2.2',
    ],
    [
      'naming the framing',
      post(`${length}connection: content-length\r\n`, body),
      'served',
      'RFC 9110 7.6.1: read here, written anew for the upstream',
    ],
    [
      'an upgrade that is not taken up',
      post(`${length}connection: upgrade\r\nupgrade: h2c\r\n`, body),
      'served',
      'RFC 9110 7.8: may be ignored',
    ],
    [
      'an upgrade to WebSocket with a body',
      `GET ${chatPath} HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n${length}\r\n${body}${inner}`,
      bad,
      'nobody could say where the new protocol begins',
    ],
    [
      'GET with a body',
      `GET ${chatPath} HTTP/1.1\r\nhost: a\r\n${length}\r\n${body}`,
      'served',
      'RFC 9110 9.3.1: framed like any other',
    ],
    [
      'HEAD with a body',
      `HEAD ${chatPath} HTTP/1.1\r\nhost: a\r\n${length}\r\n${body}`,
      'served',
      'framed like any other',
    ],
    ['POST without framing', post('', ''), 'served', 'RFC 9112 6.3: no body', ''],
    ['expect: 100-continue', post(`${length}expect: 100-continue\r\n`, body), 'served', 'RFC 9110 10.1.1'],
    ['another expectation', post(`${length}expect: 200-ok\r\n`, body + inner), 'expectation-failed', 'RFC 9110 10.1.1'],
  ]),
]
