import { test } from 'node:test'
import { http1Door, http2Door, sniffedHttp1Door } from './doors.ts'
import { doorCases } from './exchange.ts'

for (const door of [http1Door, sniffedHttp1Door, http2Door]) {
  for (const { title, run } of doorCases) test(`${door.name}: ${title}`, () => run(door))
}
