import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { certificateA, certificateB } from '#datastore/certificate-case.ts'
import { problemLines, translateText } from './translate-case.ts'

const otherRsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey
const pem = { type: 'pkcs8', format: 'pem' } as const
const listenerText =
  'listeners: [{ tls: { certFile: a.crt, keyFile: a.key } }]\nmodels: { m: { endpoints: [http://10.0.0.1] } }'
const badPairs = [
  {
    title: 'a key of another certificate',
    ...certificateA,
    key: certificateB.key,
    problem:
      "1 «a.key» listeners[0].tls.keyFile: the key in 'a.key' does not belong to the certificate in 'a.crt' (the first certificate in the file is the one the key is for)",
  },
  {
    title: 'a certificate that is cut off',
    key: certificateA.key,
    cert: certificateA.cert.slice(0, 300),
    problem: "1 «a.crt» listeners[0].tls.certFile: file 'a.crt' has no certificate that can be read",
  },
  {
    title: 'a key that is cut off',
    cert: certificateA.cert,
    key: certificateA.key.slice(0, 100),
    problem: "1 «a.key» listeners[0].tls.keyFile: file 'a.key' has no private key that can be read",
  },
  {
    title: 'an encrypted key',
    cert: certificateA.cert,
    key: otherRsa.export({ ...pem, cipher: 'aes-128-cbc', passphrase: 'x' }).toString(),
    problem: "1 «a.key» listeners[0].tls.keyFile: file 'a.key' has an encrypted key (store it without a passphrase)",
  },
]

for (const { title, cert, key, problem } of badPairs) {
  test(`${title} is refused`, () => {
    const result = translateText(listenerText, { files: { '/etc/a.crt': cert, '/etc/a.key': key } })
    assert.deepEqual(result.ok ? [] : problemLines(result.problems), [problem])
  })
}

const outOfDate = [
  ['2020-01-01', "the certificate in 'a.crt' is not valid before 2026-11-21"],
  ['2026-12-01', undefined],
  ['2126-10-26', "the certificate in 'a.crt' expires on 2126-10-28"],
  ['2200-01-01', "the certificate in 'a.crt' expired on 2126-10-28"],
] as const

for (const [day, warning] of outOfDate) {
  test(`a certificate of 2026 that is read on ${day} is ${warning === undefined ? 'fine' : 'warned of'}`, () => {
    const files = { '/etc/a.crt': certificateA.cert, '/etc/a.key': certificateA.key }
    const result = translateText(listenerText, { files, nowMs: Date.parse(day) })
    assert.ok(result.ok)
    const line = `1 «a.crt» listeners[0].tls.certFile: ${warning}`
    assert.deepEqual(problemLines(result.warnings), warning === undefined ? [] : [line])
  })
}
