/** Errors inside a stream that began with status 200: what is tried elsewhere, what is held back, what is passed on. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { manualClock } from '#core/manual-clock.ts'
import {
  answers,
  chunkOf,
  engine,
  finish,
  forward,
  RecordedExchange,
  type Script,
  setting,
  sseHead,
  until,
} from '#test/forward-case.ts'

const chatPath = '/v1/chat/completions'
const role = 'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
const token = 'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'
const done = 'data: [DONE]\n\n'
const vllmError =
  'data: {"error":{"message":"EngineCore died","type":"InternalServerError","param":null,"code":500}}\n\n'
const badRequest = 'data: {"error":{"message":"too long","type":"BadRequestError","param":null,"code":400}}\n\n'
const start = 'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":1}}}\n\n'
const overloaded = 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
const created = 'event: response.created\ndata: {"type":"response.created","response":{"error":null}}\n\n'
const failed =
  'event: response.failed\ndata: {"type":"response.failed","response":{"error":{"code":"server_error","message":"x"}}}\n\n'

/** A stream of these events, whole. */
const streams =
  (...events: readonly string[]): Script =>
  (socket) =>
    socket.write(`${sseHead}${events.map(chunkOf).join('')}0\r\n\r\n`)

const beginnings: readonly { name: string; path: string; events: readonly string[] }[] = [
  { name: 'vLLM, with [DONE] behind it', path: chatPath, events: [vllmError, done] },
  { name: 'vLLM, behind the role', path: chatPath, events: [role, vllmError, done] },
  { name: 'vLLM, behind keep-alive comments', path: chatPath, events: [': ping\n\n', role, ': ping\n\n', vllmError] },
  {
    name: 'SGLang',
    path: '/v1/completions',
    events: ['data: {"error":{"object":"error","message":"x","type":"InternalServerError","code":500}}\n\n'],
  },
  {
    name: 'TGI',
    path: chatPath,
    events: ['data: {"error":{"message":"x","http_status_code":424}}\n\n'],
  },
  {
    name: 'TGI /generate_stream',
    path: '/generate_stream',
    events: ['data: {"error":"x","error_type":"generation"}\n\n'],
  },
  { name: 'with CRLF', path: chatPath, events: [role, vllmError].map((text) => text.replaceAll('\n', '\r\n')) },
  { name: 'Anthropic', path: '/v1/messages', events: [overloaded] },
  {
    name: 'Anthropic, behind the start',
    path: '/v1/messages',
    events: [start, 'event: ping\ndata: {"type":"ping"}\n\n', overloaded],
  },
  { name: 'OpenAI-shaped in a stream of messages', path: '/v1/messages', events: [vllmError] },
  { name: 'Responses', path: '/v1/responses', events: [created, failed] },
  {
    name: 'Responses, an error event',
    path: '/v1/responses',
    events: ['event: error\ndata: {"type":"error","code":"server_error","message":"x"}\n\n'],
  },
]

describe('a stream that begins with an error', () => {
  for (const { name, path, events } of beginnings) {
    test(`is tried elsewhere, and the client sees nothing of it: ${name}`, async () => {
      const at = setting([await engine(streams(...events)), await engine(answers)])
      const { exchange, outcome } = await forward(at, { exchange: new RecordedExchange(path) })
      assert.deepEqual([exchange.status, exchange.text, exchange.how], [200, '{}', 'end'])
      assert.deepEqual(
        outcome.failedAttempts.map(({ reason }) => reason),
        ['upstream-error-event'],
      )
      assert.deepEqual([outcome.hasErrorEvent, outcome.errorSource], [false, undefined])
      finish(at)
    })

    test(`is passed on as it is when there is no other endpoint: ${name}`, async () => {
      const at = setting([await engine(streams(...events))])
      const { exchange, outcome } = await forward(at, { exchange: new RecordedExchange(path) })
      assert.deepEqual([exchange.status, exchange.text, exchange.how], [200, events.join(''), 'end'])
      assert.deepEqual([outcome.hasErrorEvent, outcome.errorSource, outcome.attempts], [true, 'upstream', 1])
      finish(at)
    })
  }

  test('is tried elsewhere however its bytes are cut', async () => {
    const text = `${sseHead}${[role, vllmError, done].map(chunkOf).join('')}0\r\n\r\n`
    for (let cut = sseHead.length - 10; cut < text.length; cut += 3) {
      const cutting: Script = (socket) => {
        socket.write(text.slice(0, cut))
        setTimeout(() => socket.write(text.slice(cut)), 1)
      }
      const at = setting([await engine(cutting), await engine(answers)])
      const { exchange, outcome } = await forward(at)
      assert.deepEqual([exchange.text, outcome.attempts], ['{}', 2], `cut at ${cut}`)
      finish(at)
    }
  })

  test('is tried on as many others as may follow an endpoint that had the request', async () => {
    const failing = streams(vllmError)
    const at = setting([await engine(failing), await engine(failing), await engine(answers)])
    const { exchange, outcome } = await forward(at, { retry: { attempts: 2, afterSent: 1 } })
    assert.deepEqual([exchange.text, outcome.attempts], [vllmError, 2])
    finish(at)
  })

  test('is passed on when every engine would say the same of the request', async () => {
    for (const first of ['', role]) {
      const at = setting([await engine(streams(first + badRequest, done)), await engine(answers)])
      const { exchange, outcome } = await forward(at)
      assert.deepEqual([exchange.text, outcome.attempts, outcome.hasErrorEvent], [first + badRequest + done, 1, false])
      assert.deepEqual([at.table.consecutiveErrors[0], at.table.badNow[0]], [0, 0])
      finish(at)
    }
  })
})

test('an error behind content is passed on and counted, and is no success of the endpoint', async () => {
  const at = setting([await engine(streams(role, token, vllmError, done)), await engine(answers)])
  const { exchange, outcome } = await forward(at)
  assert.equal(exchange.text, role + token + vllmError + done)
  assert.deepEqual([outcome.hasErrorEvent, outcome.errorSource, outcome.attempts], [true, 'upstream', 1])
  assert.deepEqual([at.table.goodNow[0], at.table.badNow[0]], [0, 1])
  finish(at)
})

test('text that quotes an error is none', async () => {
  const quoting = 'data: {"choices":[{"delta":{"content":"{\\"error\\":{\\"code\\":500}}"}}],"error":null}\n\n'
  const at = setting([await engine(streams(role, quoting, quoting, done)), await engine(answers)])
  const { exchange, outcome } = await forward(at)
  assert.deepEqual([exchange.text, outcome.hasErrorEvent], [role + quoting + quoting + done, false])
  finish(at)
})

test('a JSON answer of 200 with an error in it is passed on as it is', async () => {
  const body = '{"error":{"message":"x","code":500}}'
  const script: Script = (socket) =>
    socket.write(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
  const at = setting([await engine(script), await engine(answers)])
  const { exchange, outcome } = await forward(at)
  assert.deepEqual([exchange.text, outcome.attempts, outcome.hasErrorEvent], [body, 1, false])
  finish(at)
})

describe('the beginning of a stream is held back', () => {
  /** An engine that has sent the head and the role, and what comes next. */
  async function begun() {
    const clock = manualClock(1_000_000)
    let say = (_text: string): void => {}
    const script: Script = (socket) => {
      socket.write(sseHead + chunkOf(role))
      say = (text) => void socket.write(text)
    }
    const at = setting([await engine(script), await engine(answers)], clock)
    const exchange = new RecordedExchange()
    const ended = forward(at, { exchange, idleMs: 60_000 })
    await until(() => at.engines[0]?.connections === 1)
    // What was written before is read before this is.
    await new Promise((resolve) => setTimeout(resolve, 20))
    return { clock, at, exchange, ended, say: (text: string) => say(text) }
  }

  test('until there is content', async () => {
    const { at, exchange, ended, say } = await begun()
    assert.deepEqual([exchange.status, exchange.text], [0, ''])
    say(chunkOf(token))
    await until(() => exchange.text === role + token)
    say('0\r\n\r\n')
    assert.equal((await ended).exchange.how, 'end')
    finish(at)
  })

  test('for a second at most', async () => {
    const { clock, at, exchange, ended, say } = await begun()
    clock.advance(800)
    assert.equal(exchange.text, '')
    clock.advance(300)
    assert.deepEqual([exchange.status, exchange.text], [200, role])
    // Too late for another try: the error is passed on.
    say(`${chunkOf(vllmError)}0\r\n\r\n`)
    const { outcome } = await ended
    assert.deepEqual([exchange.text, outcome.attempts, outcome.hasErrorEvent], [role + vllmError, 1, true])
    finish(at)
  })

  test('up to 16 KiB', async () => {
    const { at, exchange, ended, say } = await begun()
    const comment = `: ${'x'.repeat(9000)}\n\n`
    say(chunkOf(comment))
    await new Promise((resolve) => setTimeout(resolve, 20))
    assert.equal(exchange.text, '')
    say(chunkOf(comment))
    await until(() => exchange.text === role + comment + comment)
    say('0\r\n\r\n')
    await ended
    finish(at)
  })

  test('and is lost with its engine: the request goes elsewhere', async () => {
    const { at, exchange, ended, say } = await begun()
    say('garbage\r\n')
    const { outcome } = await ended
    assert.deepEqual([exchange.text, outcome.attempts], ['{}', 2])
    finish(at)
  })

  test('and a client that leaves then got no status', async () => {
    const { at, exchange, ended } = await begun()
    exchange.observer?.aborted()
    const { outcome } = await ended
    assert.deepEqual([outcome.status, at.table.consecutiveErrors[0]], [0, 0])
    finish(at)
  })
})

test('streams that go well arrive byte for byte, whichever way they begin', async () => {
  const folder = new URL('../src/proxy/reply/fixtures/', import.meta.url)
  const fixtures = [
    ['vllm-chat.sse', chatPath],
    ['vllm-completions.sse', '/v1/completions'],
    ['vllm-messages.sse', '/v1/messages'],
    ['anthropic.sse', '/v1/messages'],
    ['responses.sse', '/v1/responses'],
    ['llamacpp-chat.sse', chatPath],
    ['sglang-generate.sse', '/generate_stream'],
  ] as const
  for (const [name, path] of fixtures) {
    const text = readFileSync(new URL(name, folder), 'utf8')
    for (const size of [text.length, 7, 100]) {
      const script: Script = (socket) => {
        socket.write(sseHead)
        for (let at = 0; at < text.length; at += size) socket.write(chunkOf(text.slice(at, at + size)))
        socket.write('0\r\n\r\n')
      }
      const at = setting([await engine(script)])
      const { exchange, outcome } = await forward(at, { exchange: new RecordedExchange(path) })
      assert.equal(Buffer.from(exchange.text, 'latin1').toString(), text, name)
      assert.deepEqual([outcome.hasErrorEvent, at.table.goodNow[0]], [false, 1])
      finish(at)
    }
  }
})

test('a stream without content at all arrives whole', async () => {
  for (const events of [[role], [': nothing\n\n'], [done], ['data: {"choices"']]) {
    const at = setting([await engine(streams(...events)), await engine(answers)])
    const { exchange, outcome } = await forward(at)
    assert.deepEqual([exchange.text, exchange.how, outcome.attempts], [events.join(''), 'end', 1])
    finish(at)
  }
})

describe('a stream that breaks off behind content ends with an error its client understands', () => {
  const content: Readonly<Record<string, string>> = {
    [chatPath]: token,
    '/v1/completions': 'data: {"choices":[{"text":"a"}]}\n\n',
    '/v1/messages':
      'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}\n\n',
    '/v1/responses': 'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"a"}\n\n',
    '/generate_stream': 'data: {"text":"a"}\n\n',
  }
  for (const [path, event] of Object.entries(content)) {
    for (const [name, tail] of [
      ['between events', ''],
      ['inside an event', chunkOf('data: {"half')],
      ['inside a chunk', 'ff\r\ndata: {"half'],
    ] as const) {
      test(`${path}, ${name}`, async () => {
        const script: Script = (socket) => socket.end(sseHead + chunkOf(event) + tail)
        const at = setting([await engine(script), await engine(answers)])
        const { exchange, outcome } = await forward(at, { exchange: new RecordedExchange(path) })
        assert.ok(exchange.text.startsWith(event) && exchange.text.endsWith('\n\n'), exchange.text)
        const last = exchange.text.slice(event.length)
        assert.equal(last.split('\n\n').length, 2, last)
        const data = JSON.parse(/^data: (.*)$/m.exec(last)?.[1] ?? '') as Record<string, unknown>
        const eventName = /^event: (.*)$/m.exec(last)?.[1]
        if (path === '/v1/messages') assert.deepEqual([eventName, data['type']], ['error', 'error'])
        else if (path === '/v1/responses') assert.deepEqual([eventName, data['code']], ['error', 'upstream_reset'])
        else assert.equal((data['error'] as Record<string, unknown>)['code'], 'upstream_reset')
        assert.deepEqual([exchange.how, outcome.cut, outcome.attempts], ['end', true, 1])
        finish(at)
      })
    }
  }
})
