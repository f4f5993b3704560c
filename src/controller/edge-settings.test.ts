import assert from 'node:assert/strict'
import { test } from 'node:test'
import { problemLines, snapshotOfText, translateText } from './translate-case.ts'

const bad: readonly (readonly [string, string, readonly string[]])[] = [
  [
    'a certificate without its key is refused',
    'listeners: [{ tls: { certFile: a.crt } }]',
    ["1 «tls» listeners[0].tls: 'tls' needs 'certFile' and 'keyFile' (give both, or 'certificates' with at least one)"],
  ],
  [
    'TLS without any certificate is refused',
    'listeners: [{ tls: {} }]',
    ["1 «tls» listeners[0].tls: 'tls' needs 'certFile' and 'keyFile' (give both, or 'certificates' with at least one)"],
  ],
  [
    'a network that is none is refused',
    'listeners: [{ trustedProxies: [10.0.0.0/33, "::1/129", proxy.local] }]',
    [
      "1 «10.0.0.0/33» listeners[0].trustedProxies[0]: item 1 of 'trustedProxies' must be a network such as '10.0.0.0/8', or an address",
      "1 «\"::1/129\"» listeners[0].trustedProxies[1]: item 2 of 'trustedProxies' must be a network such as '10.0.0.0/8', or an address",
      "1 «proxy.local» listeners[0].trustedProxies[2]: item 3 of 'trustedProxies' must be a network such as '10.0.0.0/8', or an address",
    ],
  ],
  [
    'credentials for any origin are refused, as browsers refuse them',
    'cors: { origins: ["*"], credentials: true }',
    [
      "1 «true» cors.credentials: browsers refuse 'credentials' for origin '*' (name the origins, or leave 'credentials' out)",
    ],
  ],
  [
    'origins that no browser sends are refused: a page of theirs would never be let in',
    'cors: { origins: [chat.example.com, "https://a.example/", "HTTPS://A.example:443", "http://a:8080", "null", "chrome-extension://abc"] }',
    [
      "1 «chat.example.com» cors.origins[0]: no browser sends item 1 of 'origins' as an origin (an origin has a scheme and a host, such as 'https://chat.example.com')",
      "1 «\"https://a.example/\"» cors.origins[1]: no browser sends item 2 of 'origins' as an origin (write 'https://a.example')",
      "1 «\"HTTPS://A.example:443\"» cors.origins[2]: no browser sends item 3 of 'origins' as an origin (write 'https://a.example')",
    ],
  ],
  [
    'the certificate towards engines needs its key',
    'models: { m: { endpoints: ["https://a:1"], tls: { certFile: c.pem } } }',
    ["1 «tls» models.m.tls: 'certFile' and 'keyFile' go together"],
  ],
]

for (const [title, text, wanted] of bad) {
  test(title, () => {
    const result = translateText(text)
    assert.deepEqual(result.ok ? [] : problemLines(result.problems), wanted)
  })
}

test('a demand for client certificates without an authority is refused: it was taken for no demand once', () => {
  const result = translateText('listeners: [{ tls: { certFile: a.crt, keyFile: a.key, clientAuth: required } }]')
  const problems = result.ok ? [] : problemLines(result.problems)
  assert.deepEqual(
    problems.filter((line) => line.includes('clientAuth')),
    [
      "1 «required» listeners[0].tls.clientAuth: 'clientAuth' needs 'clientCaFile' (name the authority of the clients' certificates with 'clientCaFile', or remove it)",
    ],
  )
})

test('networks and single addresses of trusted proxies get their bits', () => {
  const { listeners } = snapshotOfText(
    'listeners: [{ trustedProxies: [10.0.0.0/8, 192.168.1.7, "fd00::/8", "::1"], proxyProtocol: true, http2: true }]',
  )
  const [listener] = listeners
  assert.deepEqual(listener?.trustedProxies, ['10.0.0.0/8', '192.168.1.7/32', 'fd00::/8', '::1/128'])
  assert.deepEqual([listener.proxyProtocol, listener.http2, listener.tls], [true, true, undefined])
})

test('limits of a listener take the place of the common ones', () => {
  const { listeners } = snapshotOfText(
    'listeners: [{ port: 1, connections: 7 }, { port: 2, connectionsPerClient: 3 }]\nlimits: { connections: 100, connectionsPerClient: 10 }',
  )
  assert.deepEqual(
    listeners.map(({ connections, connectionsPerClient }) => [connections, connectionsPerClient]),
    [
      [7, 10],
      [100, 3],
    ],
  )
})

test('what browsers may do is put in lower case, as they compare it', () => {
  const { cors } = snapshotOfText('cors: { origins: ["https://Chat.Example.com"], headers: [X-Team], maxAge: 1h }')
  assert.deepEqual(cors, {
    origins: ['https://chat.example.com'],
    headers: ['x-team'],
    exposedHeaders: ['x-request-id', 'x-infer-reason', 'retry-after'],
    credentials: false,
    maxAgeMs: 3_600_000,
  })
})

test('ejection follows the settings of a model, and its longest time is never below its first', () => {
  const { modelServers } = snapshotOfText(
    'models: { m: { endpoints: ["http://a:1"], ejection: { failures: 5, time: 1m, maxTime: 10s }, retry: { afterSent: 0 } } }',
  )
  const { ejection, retry } = modelServers[0] ?? assert.fail()
  assert.deepEqual([ejection.failures, ejection.baseMs, ejection.maxMs], [5, 60_000, 60_000])
  assert.deepEqual(retry, { attempts: 2, intervalMs: 0, afterSent: 0 })
})
