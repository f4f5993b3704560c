import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Codec } from './fuzz/codec.ts'
import { judgeRequests, requestCodec } from './fuzz/codec-request.ts'
import { codecs } from './fuzz/codecs.ts'
import { driveConnection } from './fuzz/driven-connection.ts'
import { Fuzzer } from './fuzz/fuzz.ts'
import { readWithLlhttp } from './fuzz/llhttp.ts'

/** A run of `npm run fuzz` is a thousand times as long. */
const cases = 2500

describe('a codec and llhttp agree, and any split of the input reads the same', () => {
  for (const codec of codecs) {
    test(codec.name, () => {
      const fuzzer = new Fuzzer(codec, 7)
      while (fuzzer.cases < cases) assert.equal(fuzzer.step(), undefined)
      const share = fuzzer.accepted / fuzzer.cases
      assert.ok(share > 0.2 && share < 0.9, `the cases are one-sided: ${share} are accepted`)
    })
  }
})

/** Reads `change(text)` as if it were the text: what a laxer codec would do. */
function lax(change: (text: string) => string): Codec {
  return {
    ...requestCodec,
    check(input: Buffer) {
      const whole = driveConnection([Buffer.from(change(input.toString('latin1')), 'latin1')])
      const accepted = whole.served.length > 0 && whole.refused === undefined
      return { accepted, difference: judgeRequests(whole, readWithLlhttp('request', input)) }
    },
  }
}

describe('the fuzzer finds what a laxer codec accepts', () => {
  const planted: readonly (readonly [name: string, change: (text: string) => string])[] = [
    ['bare line feeds', (text) => text.replace(/(?<!\r)\n/g, '\r\n')],
    ['a blank before the colon', (text) => text.replace(/ :/g, ':')],
    ['a length beside a coding', (text) => text.replace(/content-length:\s*\d+\r\n(?=[^]*transfer-encoding)/gi, '')],
    ['a signed length', (text) => text.replace(/(content-length:\s*)\+/gi, '$1')],
    ['a NUL', (text) => text.replaceAll('\0', '')],
  ]
  for (const [name, change] of planted) {
    test(name, () => {
      const fuzzer = new Fuzzer(lax(change), 7)
      let finding: ReturnType<Fuzzer['step']>
      while (finding === undefined && fuzzer.cases < 20_000) finding = fuzzer.step()
      assert.ok(finding !== undefined, `not within ${fuzzer.cases} cases`)
      assert.ok(finding.input.length < 600, finding.input)
    })
  }
})
