import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type BaseUrl, hostPort, parseBaseUrl } from './base-url.ts'

const good: readonly (readonly [string, BaseUrl])[] = [
  ['http://10.0.0.1:8000', { isTls: false, host: '10.0.0.1', port: 8000, path: '' }],
  ['http://vllm', { isTls: false, host: 'vllm', port: 80, path: '' }],
  ['https://api.example.com/', { isTls: true, host: 'api.example.com', port: 443, path: '' }],
  ['HTTPS://Example.com:8443/a/b/', { isTls: true, host: 'example.com', port: 8443, path: '/a/b' }],
  ['http://[::1]:8000/v1', { isTls: false, host: '::1', port: 8000, path: '/v1' }],
]

for (const [text, wanted] of good) {
  test(`${text} is taken apart`, () => {
    assert.deepEqual(parseBaseUrl(text), wanted)
  })
}

const bad: readonly (readonly [string, string])[] = [
  ['10.0.0.1:8000', 'must be a URL that begins with http:// or https://'],
  ['ftp://x', 'must be a URL that begins with http:// or https://'],
  ['http://', 'must be a URL with a valid host'],
  ['http://a b', 'must be a URL with a valid host'],
  ['http://a:99999', 'must be a URL with a valid host'],
  ['http://a:0', 'must have a port from 1 to 65535'],
  ['http://user:pw@a', 'must not carry a user or password'],
  ['http://a/?x=1', "must end before its '?'"],
  ['http://a#b', "must end before its '#'"],
]

for (const [text, fails] of bad) {
  test(`${text} is refused`, () => {
    assert.deepEqual(parseBaseUrl(text), { fails })
  })
}

test('an IPv6 address gets brackets in front of its port', () => {
  assert.equal(hostPort('::1', 80), '[::1]:80')
  assert.equal(hostPort('a', 80), 'a:80')
})
