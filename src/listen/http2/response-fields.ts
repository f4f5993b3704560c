import type { HeaderList } from '#core/header-list.ts'

/** What belongs to a connection of HTTP/1.1 and is malformed in HTTP/2 (RFC 9113 8.2.2). */
const dropped: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'te',
  'trailer',
])

/** The greatest that the library sends. What is beyond is unknown to everybody, and a mistake of the engine. */
const greatestStatus = 599
const badGateway = 502

/** The head of an answer as `respond` of node:http2 takes it: flat, the status first. */
export function responseFields(status: number, added: HeaderList, headers: HeaderList): string[] {
  const fields = [':status', String(status > greatestStatus ? badGateway : status)]
  for (const list of [added, headers]) {
    for (let i = 0; i < list.length; i += 2) {
      const name = (list[i] as string).toLowerCase()
      if (!dropped.has(name)) fields.push(name, list[i + 1] as string)
    }
  }
  return fields
}
