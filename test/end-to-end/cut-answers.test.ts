import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { RunningGateway } from './support/gateway.ts'
import { RawUpstream } from './support/raw-upstream.ts'
import { runMany, sleep } from './support/wait.ts'

const usage =
  '"usage":{"prompt_tokens":11,"total_tokens":18,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":4}}'

/** A stream as vLLM writes it, with a usage chunk at its end; `model` is the name in it. */
function streamText(model: string, lineEnd: string, hasUsageChunk: boolean): string {
  const head = `"id":"c-1","object":"chat.completion.chunk","model":${JSON.stringify(model)}`
  const events = [
    `{${head},"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}`,
    `{${head},"choices":[{"index":0,"delta":{"content":"h\u00e9 \\"model\\":\\"engine\\""}}]}`,
    `{${head},"choices":[{"index":0,"delta":{"content":"\u{1f600}"},"finish_reason":"stop"}]}`,
    ...(hasUsageChunk ? [`{${head},"choices":[],${usage}}`] : []),
    '[DONE]',
  ]
  const comment = `: keep-alive${lineEnd}${lineEnd}`
  return comment + events.map((event) => `data: ${event}${lineEnd}${lineEnd}`).join('')
}

function unaryText(model: string): string {
  const choices = '"choices":[{"index":0,"message":{"role":"assistant","content":"\\"model\\": \\"engine\\" \\ud83d"}}]'
  return `{ "id":"c-1",\r\n ${choices}, "model" : ${JSON.stringify(model)},${usage}, "metrics":null}\n`
}

interface Canned {
  readonly type: string
  readonly body: string
  readonly lineEnd?: string
}

const upstream = await RawUpstream.start(() => {})
const gateway = await RunningGateway.start(
  {
    models: {
      engine: { engine: 'vllm', endpoints: [upstream.url], scrape: false },
      'the client name': { engine: 'vllm', endpoints: [upstream.url], servedModel: 'engine', scrape: false },
    },
  },
  { onFailure: () => upstream.close() },
)
after(async () => {
  try {
    await gateway.close()
  } finally {
    await upstream.close()
  }
})

/** Answers the request whose id ends in `-N` with the body cut at byte N; `framing` decides how it is sent. */
function answerCut({ type, body }: Canned, framing: 'length' | 'chunked' | 'close'): void {
  const bytes = Buffer.from(body)
  upstream.answer = async (socket, request) => {
    const cut = Number(/x-request-id: \S*-(\d+)/.exec(request)?.[1])
    const parts = [bytes.subarray(0, cut), bytes.subarray(cut)].filter((part) => part.length > 0)
    const header = {
      length: `content-length: ${bytes.length}`,
      chunked: 'transfer-encoding: chunked',
      close: 'connection: close',
    }
    socket.write(`HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\n${header[framing]}\r\n\r\n`)
    for (const part of parts) {
      await sleep(1)
      if (framing === 'chunked')
        socket.write(Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n')]))
      else socket.write(part)
    }
    if (framing === 'chunked') socket.write('0\r\n\r\n')
    if (framing === 'close') socket.end()
  }
}

/** Sends one request for each cut and checks that all answers are `expected` and that the log has the same usage. */
async function checkEveryCut(name: string, request: object, expected: string, cuts: number): Promise<void> {
  await runMany(cuts, 24, async (cut) => {
    const id = `${name}-${cut}`
    const response = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-id': id },
      body: JSON.stringify(request),
    })
    assert.equal(response.status, 200)
    assert.equal(await response.text(), expected, `cut at byte ${cut}`)
  })
  for (let cut = 0; cut < cuts; cut++) {
    const line = await gateway.accessLine(`${name}-${cut}`)
    assert.deepEqual([line.input_tokens, line.output_tokens, line.cached_tokens], [11, 7, 4], `cut at byte ${cut}`)
  }
}

const messages = [{ role: 'user', content: 'x' }]
const streamType = 'text/event-stream; charset=utf-8'

for (const [lineEnd, label] of [
  ['\n', 'LF'],
  ['\r\n', 'CRLF'],
] as const) {
  test(`a stream with ${label} cut at any byte shows the same events and usage`, async () => {
    const body = streamText('engine', lineEnd, true)
    answerCut({ type: streamType, body }, 'chunked')
    const request = { model: 'engine', messages, stream: true, stream_options: { include_usage: true } }
    await checkEveryCut(`kept-${label}`, request, body, Buffer.byteLength(body))
  })

  test(`a stream with ${label} cut at any byte gets the name of the client and loses the hidden chunk`, async () => {
    const body = streamText('engine', lineEnd, true)
    answerCut({ type: streamType, body }, 'close')
    const expected = streamText('the client name', lineEnd, false)
    await checkEveryCut(
      `named-${label}`,
      { model: 'the client name', messages, stream: true },
      expected,
      Buffer.byteLength(body),
    )
  })
}

for (const framing of ['length', 'chunked', 'close'] as const) {
  test(`an answer cut at any byte and framed by ${framing} gets the name of the client`, async () => {
    const body = unaryText('engine')
    answerCut({ type: 'application/json', body }, framing)
    const request = { model: 'the client name', messages }
    await checkEveryCut(`unary-${framing}`, request, unaryText('the client name'), Buffer.byteLength(body))
  })
}
