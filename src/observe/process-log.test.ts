import assert from 'node:assert/strict'
import { test } from 'node:test'
import { prettyLine } from './pretty-line.ts'
import { createProcessLog, type ProcessLogPlan } from './process-log.ts'
import { isSecretKey, redacted, redactSecrets } from './redact-secrets.ts'

function logTo(plan: Partial<ProcessLogPlan> = {}) {
  const lines: string[] = []
  const destination = { write: (line: string) => void lines.push(line) }
  return { lines, log: createProcessLog({ level: 'info', pretty: false, destination, ...plan }) }
}

/** Without the colours. */
const plain = (line: string | undefined): string => (line ?? '').replaceAll(/\u001b\[[0-9]+m/g, '')

test('a line is one JSON object with time, level, message and fields', () => {
  const { lines, log } = logTo()
  log.info({ listener: 'default', port: 8080 }, 'listening')
  const { time, ...rest } = JSON.parse(lines[0] ?? '') as Record<string, unknown>
  assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  assert.deepEqual(rest, { level: 'info', msg: 'listening', listener: 'default', port: 8080 })
  assert.equal(lines[0]?.indexOf('\n'), (lines[0]?.length ?? 0) - 1)
})

test('lines below the level are not written', () => {
  const { lines, log } = logTo({ level: 'warn' })
  log.debug({}, 'a')
  log.info({}, 'b')
  log.warn({}, 'c')
  log.error({}, 'd')
  assert.equal(lines.length, 2)
})

test('a child adds its fields to every line, without its secrets', () => {
  const { lines, log } = logTo()
  log.child({ thread: '1', apiKey: 'sk-1' }).info({ a: 1 }, 'x')
  const line = JSON.parse(lines[0] ?? '') as Record<string, unknown>
  assert.equal(line.thread, '1')
  assert.equal(line.apiKey, redacted)
})

test('an error is logged with its message, stack and cause', () => {
  const { lines, log } = logTo()
  const cause = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
  log.error({ error: new Error('cannot scrape', { cause }) }, 'scrape failed')
  const { error } = JSON.parse(lines[0] ?? '') as { error: Record<string, unknown> }
  assert.equal(error.message, 'cannot scrape')
  assert.match(String(error.stack), /process-log\.test\.ts/)
  assert.equal((error.cause as Record<string, unknown>).code, 'ECONNREFUSED')
})

test('an error given as the fields is logged as one', () => {
  const { lines, log } = logTo()
  log.error(new Error('boom'), 'failed')
  assert.equal((JSON.parse(lines[0] ?? '') as { error: { message: string } }).error.message, 'boom')
})

test('secrets are taken out by their key, at any depth, in lists and in errors', () => {
  const { lines, log } = logTo()
  const secret = 'sk-very-secret'
  log.info(
    {
      headers: { Authorization: `Bearer ${secret}`, 'x-api-key': secret, accept: '*/*' },
      setHeaders: [
        { name: 'authorization', value: secret },
        { name: 'x-team', value: 'blue' },
      ],
      provider: { deep: { api_key: secret } },
      tls: { key: `-----BEGIN PRIVATE KEY-----\n${secret}\n-----END PRIVATE KEY-----` },
      error: Object.assign(new Error('no'), { password: secret }),
    },
    'loaded',
  )
  assert.doesNotMatch(lines[0] ?? '', /very-secret/)
  assert.match(lines[0] ?? '', /"accept":"\*\/\*"/)
  assert.match(lines[0] ?? '', /"blue"/)
})

test('keys are secret however they are spelled, and plain words are not', () => {
  for (const key of [
    'authorization',
    'Proxy-Authorization',
    'X-API-Key',
    'api_key',
    'apiKey',
    'set-cookie',
    'accessToken',
  ]) {
    assert.ok(isSecretKey(key), key)
  }
  for (const key of ['key', 'file', 'tokens', 'inputTokens', 'keyFile', 'model', 'author'])
    assert.ok(!isSecretKey(key), key)
})

test('what is nested without end is left out', () => {
  const loop: Record<string, unknown> = { a: 1n }
  loop.self = loop
  assert.match(JSON.stringify(redactSecrets(loop)), /too deep/)
})

test('at a terminal a line is short', () => {
  const { lines, log } = logTo({ pretty: true })
  log.warn({ file: 'config.yaml', line: 3, why: 'no such key', list: ['a'] }, 'configuration refused')
  assert.match(
    plain(lines[0]),
    /^\d\d:\d\d:\d\d\.\d{3} warn {2}configuration refused file=config\.yaml line=3 why="no such key" list=\["a"\]\n$/,
  )
})

test('an error at a terminal shows its message only', () => {
  const { lines, log } = logTo({ pretty: true })
  log.error({ error: new Error('port in use') }, 'cannot start')
  assert.match(plain(lines[0]), /error cannot start error="port in use"\n$/)
})

test('nothing logged can control the terminal', () => {
  const { lines, log } = logTo({ pretty: true })
  log.info({ model: '\u001b[2J\u0007', '\u001b[1m': 1 }, 'a\nb\u001b[31m')
  assert.doesNotMatch(plain(lines[0]).slice(0, -1), /\p{Cc}/u)
})

test('a line that is no JSON stays as it is', () => {
  for (const line of ['', 'no json\n', '17\n', 'null\n']) assert.equal(prettyLine(line), line)
})
