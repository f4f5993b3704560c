import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { Exchange } from '#contracts/exchange.ts'
import type { Api } from '#core/api.ts'
import { isRefusal, type Refusal } from '#core/refusal.ts'
import type { InferenceRequest, Span } from '#core/request.ts'
import { apis } from '#dialect/apis.ts'
import { methodOf, parseHead, pathOf, RequestParser } from './parse-request.ts'

/** The two parts of an exchange that parsing looks at. */
function exchangeOf(target: string, headers: readonly string[], slices: readonly Buffer[]): Exchange {
  const bytes = slices.reduce((sum, { length }) => sum + length, 0)
  const exchange: Pick<Exchange, 'head' | 'body'> = {
    head: { method: 'POST', target, headers },
    body: { slices, bytes },
  }
  return exchange as Exchange
}

const parser = new RequestParser()

function parse(body: string | readonly Buffer[], target = '/v1/chat/completions', headers: readonly string[] = []) {
  const api = parseHead({ method: 'POST', target, headers })
  assert.ok(!isRefusal(api))
  const slices = typeof body === 'string' ? [Buffer.from(body)] : body
  return parser.parse(exchangeOf(target, headers, slices), api, 'id-1')
}

function parsed(...args: Parameters<typeof parse>): InferenceRequest {
  const request = parse(...args)
  assert.ok(!isRefusal(request), JSON.stringify(request))
  return request
}

function refused(...args: Parameters<typeof parse>): Refusal {
  const refusal = parse(...args)
  assert.ok(isRefusal(refusal), JSON.stringify(refusal))
  return refusal
}

const at = (body: string, span: Span | undefined): string | undefined =>
  span === undefined ? undefined : Buffer.from(body).toString('utf8', span.start, span.end)

describe('the head alone decides the operation', () => {
  for (const api of apis) {
    for (const path of api.paths) {
      const method = methodOf(api)
      test(`${method} ${path}, with and without a query`, () => {
        for (const target of [path, `${path}?`, `${path}?a=b?c=/v1`]) {
          assert.equal(parseHead({ method, target, headers: [] }), api)
          assert.equal(pathOf(target), path)
        }
        const others = ['GET', 'POST', 'PUT', 'post', 'OPTIONS'].filter((other) => other !== method)
        for (const other of others) {
          const head = { method: other, target: path, headers: [] }
          assert.equal((parseHead(head) as Refusal).reason, 'method-not-allowed')
        }
      })
    }
  }

  const unknown = [
    '/',
    '*',
    '/v1',
    '/v1/chat/completions/',
    '/V1/chat/completions',
    '/v1//chat/completions',
    '/v1/chat%2Fcompletions',
    '/v1/chat/completions;x',
    '//v1/chat/completions',
    '/v1/messages/count_tokens/x',
  ]
  for (const target of unknown) {
    test(`${target} is unknown`, () => {
      const refusal = parseHead({ method: 'POST', target, headers: [] })
      assert.equal((refusal as Refusal).reason, 'unknown-path')
    })
  }

  test('a long path is not repeated whole', () => {
    const refusal = parseHead({ method: 'GET', target: `/${'x'.repeat(9000)}?secret=1`, headers: [] }) as Refusal
    assert.ok(refusal.message.length < 400)
    assert.doesNotMatch(refusal.message, /secret/)
  })

  test('an encoded body is refused, a plain one is not', () => {
    const reasonOf = (encoding: string): string | undefined => {
      const result = parseHead({ method: 'POST', target: '/v1/embeddings', headers: ['content-encoding', encoding] })
      return isRefusal(result) ? result.reason : undefined
    }
    for (const encoding of ['gzip', 'br', 'GZIP', 'gzip, identity', '']) {
      assert.equal(reasonOf(encoding), 'unsupported-content-encoding')
    }
    assert.equal(reasonOf('identity'), undefined)
    assert.equal(reasonOf('Identity'), undefined)
  })
})

test('a request is read with everything the gateway acts on', () => {
  const body =
    ' {"model":"m-1","stream":true,"stream_options":{"include_usage":false,"x":1},\n"messages":[{"role":"user","content":"ä"}],' +
    '"tools":[],"max_tokens":7,"user":"u","prompt_cache_key":"k","unknown":[1e999]}\n'
  const request = parsed(body, '/v1/chat/completions?x=y', ['content-type', 'application/json'])
  assert.equal(request.id, 'id-1')
  assert.equal(request.api.name, 'chat')
  assert.equal(request.path, '/v1/chat/completions')
  assert.equal(request.target, '/v1/chat/completions?x=y')
  assert.equal(request.model, 'm-1')
  assert.deepEqual(
    request.modelSpans.map((span) => at(body, span)),
    ['"m-1"'],
  )
  assert.equal(request.stream, true)
  assert.equal(at(body, request.streamOptions.span), '{"include_usage":false,"x":1}')
  assert.equal(at(body, request.streamOptions.includeUsageSpan), 'false')
  assert.equal(request.streamOptions.includeUsage, false)
  assert.deepEqual(
    request.promptSpans.map((span) => at(body, span)),
    ['[{"role":"user","content":"ä"}]', '[]'],
  )
  assert.equal(request.promptBytes, Buffer.byteLength('[{"role":"user","content":"ä"}][]'))
  assert.equal(request.maxTokens, 7)
  assert.equal(request.session, 'k')
})

test('a request with nothing but a model is read too', () => {
  const request = parsed('{"model":"m"}')
  const { model, stream, streamOptions, promptSpans, promptBytes, maxTokens, session, cacheSalt } = request
  assert.deepEqual(
    { model, stream, streamOptions, promptSpans, promptBytes, maxTokens, session, cacheSalt },
    {
      model: 'm',
      stream: false,
      streamOptions: { span: undefined, includeUsageSpan: undefined, includeUsage: false },
      promptSpans: [],
      promptBytes: 0,
      maxTokens: undefined,
      session: undefined,
      cacheSalt: undefined,
    },
  )
})

describe('the model is unescaped, and of repeated keys the last one counts', () => {
  const cases: readonly [body: string, model: string, spans: readonly string[]][] = [
    ['{"model":"meta-llama/Llama-3.1-8B"}', 'meta-llama/Llama-3.1-8B', ['"meta-llama/Llama-3.1-8B"']],
    ['{"model":"\\u0061\\/b"}', 'a/b', ['"\\u0061\\/b"']],
    ['{"mod\\u0065l":"x"}', 'x', ['"x"']],
    ['{"model":"ä😀\\ud83d\\ude00"}', 'ä😀😀', ['"ä😀\\ud83d\\ude00"']],
    ['{"model":"a","model" : "b"}', 'b', ['"a"', '"b"']],
    ['{"x":{"model":"no"},"model":" b "}', ' b ', ['" b "']],
  ]
  for (const [body, model, spans] of cases) {
    test(body, () => {
      const request = parsed(body)
      assert.equal(request.model, model)
      assert.deepEqual(
        request.modelSpans.map((span) => at(body, span)),
        spans,
      )
    })
  }
})

describe('without a usable model the request is refused', () => {
  const bodies = [
    '{}',
    '{"model":""}',
    '{"model":" \\t"}',
    '{"model":"a","model":""}',
    '{"model":null}',
    '{"model":1}',
    '{"model":["a"]}',
    '{"model":{"a":"b"}}',
    '{"model":1,"model":"a"}',
    '{"model":"\\x"}',
    `{"model":"${'x'.repeat(257)}"}`,
    `{"model":"${'x'.repeat(5000)}"}`,
  ]
  for (const body of bodies) {
    test(body.slice(0, 40), () => {
      const { reason, param } = refused(body)
      assert.deepEqual([reason, param], ['missing-model', 'model'])
    })
  }

  test('256 characters are not too many', () => {
    assert.equal(parsed(`{"model":"${'x'.repeat(256)}"}`).model.length, 256)
  })
})

test('operations whose engines take a body without a model do so here, and the header can name it', () => {
  const optional = ['/generate', '/tokenize', '/detokenize', '/rerank', '/v1/score', '/classify', '/pooling']
  for (const path of optional) {
    assert.equal(parsed('{"text":"x"}', path).model, '')
    assert.equal(parsed('{"text":"x"}', path, ['x-infer-model', 'm']).model, 'm')
    assert.equal(parsed('{"model":"a"}', path, ['x-infer-model', 'm']).model, 'a')
    assert.equal(refused('{"model":5}', path).reason, 'missing-model')
  }
  for (const path of ['/v1/completions', '/v1/responses', '/v1/messages', '/v1/embeddings', '/v1/audio/speech']) {
    assert.equal(refused('{"input":"x"}', path).reason, 'missing-model')
    const request = parsed('{"input":"x"}', path, ['x-infer-model', 'm'])
    assert.deepEqual([request.model, request.modelSpans], ['m', []])
  }
  assert.equal(refused('{}', '/generate', ['x-infer-model', 'x'.repeat(257)]).reason, 'missing-model')
})

test('/generate_stream streams whatever its body says', () => {
  assert.equal(parsed('{"inputs":"x"}', '/generate_stream?a=b').stream, true)
  assert.equal(parsed('{"inputs":"x"}', '/generate').stream, false)
  assert.equal(parsed('{"inputs":"x","stream":true}', '/generate').stream, true)
})

describe('stream options', () => {
  const cases: readonly [options: string, asked: boolean, includeUsage: string | undefined][] = [
    ['{"include_usage":true}', true, 'true'],
    ['{"include_usage":false}', false, 'false'],
    ['{ "include_usage" : null }', false, 'null'],
    ['{"include_usage":true,"include_usage":false}', false, 'false'],
    ['{"include_\\u0075sage":true}', true, 'true'],
    ['{"include_usage":1}', true, '1'],
    ['{"include_usage":"false"}', true, '"false"'],
    ['{"x":{"include_usage":true}}', false, undefined],
    ['{}', false, undefined],
    ['null', false, undefined],
    ['[]', true, undefined],
    ['"include_usage"', true, undefined],
    ['7', true, undefined],
    [`{"x":"${'y'.repeat(9000)}","include_usage":true}`, true, 'true'],
  ]
  for (const [options, asked, includeUsage] of cases) {
    test(options.slice(0, 60), () => {
      const body = `{"model":"m","stream":true,"stream_options":${options}}`
      const { streamOptions } = parsed(body)
      assert.equal(at(body, streamOptions.span), options)
      assert.equal(streamOptions.includeUsage, asked)
      assert.equal(at(body, streamOptions.includeUsageSpan), includeUsage)
    })
  }

  test('of repeated ones the last counts', () => {
    const body = '{"model":"m","stream_options":{"include_usage":true},"stream_options":{}}'
    assert.deepEqual(at(body, parsed(body).streamOptions.span), '{}')
    assert.equal(parsed(body).streamOptions.includeUsage, false)
  })
})

test('only true is a stream', () => {
  for (const [value, stream] of [
    ['true', true],
    ['false', false],
    ['null', false],
    ['"true"', false],
    ['1', false],
  ] as const) {
    assert.equal(parsed(`{"model":"m","stream":${value}}`).stream, stream)
  }
  assert.equal(parsed('{"model":"m","stream":true,"stream":false}').stream, false)
})

test('token limits are read under each of their names when they are plain numbers', () => {
  const cases: readonly [members: string, maxTokens: number | undefined][] = [
    ['"max_tokens":5', 5],
    ['"max_completion_tokens":6', 6],
    ['"max_output_tokens":1e3', 1000],
    ['"max_tokens":5,"max_completion_tokens":null', 5],
    ['"max_tokens":-1', undefined],
    ['"max_tokens":"5"', undefined],
    ['"max_tokens":1e999', undefined],
    ['"max_tokens":[5]', undefined],
    ['"max_tokens":true', undefined],
  ]
  for (const [members, maxTokens] of cases)
    assert.equal(parsed(`{"model":"m",${members}}`).maxTokens, maxTokens, members)
})

test('a session is the cache key or else the user', () => {
  const cases: readonly [members: string, session: string | undefined][] = [
    ['"user":"u"', 'u'],
    ['"user":"u","prompt_cache_key":"k"', 'k'],
    ['"prompt_cache_key":"k","user":"u"', 'k'],
    ['"user":"u","prompt_cache_key":null', 'u'],
    ['"user":"u","prompt_cache_key":""', 'u'],
    ['"metadata":{"user_id":"m"},"user":"u"', 'u'],
    ['"user":"u","metadata":{"user_id":"m"}', 'u'],
    ['"metadata":{"a":{"user_id":"no"},"user_id":"m\\u0031"}', 'm1'],
    ['"metadata":{"user_id":7}', undefined],
    ['"metadata":{}', undefined],
    ['"metadata":[]', undefined],
    ['"metadata":null', undefined],
    ['"metadata":"user_id"', undefined],
    ['"user":5', undefined],
    ['"user":{"id":"u"}', undefined],
    [`"user":"${'x'.repeat(300)}"`, 'x'.repeat(256)],
  ]
  for (const [members, session] of cases) assert.equal(parsed(`{"model":"m",${members}}`).session, session, members)
})

describe('a malformed body is refused with the place of the fault', () => {
  const cases: readonly [body: string, message: RegExp][] = [
    ['', /empty/],
    ['x', /at byte 0 \(line 1, column 1\)/],
    ['{"model":"m",}', /at byte 13 \(line 1, column 14\)/],
    ['{\n  "model": "m",\n  "x": tru\n}', /at byte 28 \(line 3, column 11\)/],
    ['{"model":"m"\n', /too early, at byte 13 \(line 2, column 1\)/],
    ['\n\n\n{]', /at byte 4 \(line 4, column 2\)/],
    ['{"ä":\n"ä" "b"}', /line 2, column 6/],
    ['[{"model":"m"}]', /not a JSON object/],
    ['--b\r\ncontent-disposition', /at byte 0/],
  ]
  for (const [body, message] of cases) {
    test(JSON.stringify(body), () => {
      const data = Buffer.from(body)
      for (let cut = 0; cut <= data.length; cut++) {
        const refusal = refused([data.subarray(0, cut), data.subarray(cut)])
        assert.equal(refusal.reason, 'malformed-json')
        assert.match(refusal.message, message)
      }
    })
  }
})

test('property: the body cut anywhere gives the same request', () => {
  const body =
    '{"messages":[{"content":"\\"model\\":\\\\"}],"model":"a\\u0062","stream":true,"stream_options":{"include_usage":true},' +
    '"max_tokens":12,"user":"ü","model":"c"}'
  const data = Buffer.from(body)
  const { body: _, ...whole } = parsed([data])
  fc.assert(
    fc.property(fc.array(fc.nat(data.length), { maxLength: 6 }), (cuts) => {
      const bounds = [0, ...cuts.toSorted((a, b) => a - b), data.length]
      const { body: __, ...rest } = parsed(bounds.slice(1).map((end, i) => data.subarray(bounds[i], end)))
      assert.deepEqual(rest, whole)
    }),
    { seed: 91, numRuns: 500 },
  )
})

test('all requests share one shape, whatever they say', () => {
  const keys = (request: InferenceRequest): string => Object.keys(request).join()
  assert.equal(keys(parsed('{}', '/generate')), keys(parsed('{"model":"m","stream":true,"user":"u","max_tokens":1}')))
})

describe('what keeps cached prompts apart', () => {
  const cases: readonly [members: string, salt: string | undefined][] = [
    ['"cache_salt":"a\\u0062"', 'ab'],
    ['"cache_salt":"a","cache_salt":"b"', 'b'],
    ['"extra_key":"x"', 'x'],
    ['"extra_key":"x","cache_salt":"a"', 'ax'],
    ['"cache_salt":["a","b"]', '["a","b"]'],
    [`"cache_salt":"${'s'.repeat(9000)}"`, 's'.repeat(9000)],
    ['"cache_salt":null', undefined],
    ['"cache_salt":""', undefined],
    ['"x":{"cache_salt":"a"}', undefined],
    ['"messages":"cache_salt"', undefined],
  ]
  for (const [members, salt] of cases) {
    test(members.slice(0, 60), () => assert.equal(parsed(`{"model":"m",${members}}`).cacheSalt, salt))
  }
})

describe('what is no text in a prompt', () => {
  const partOf = (url: string): string => `[{"content":[{"type":"image_url","image_url":{"url":"${url}"}}]}]`

  test('stands apart, and counts as the tokens that an engine makes of it', () => {
    const url = `data:image/jpeg;base64,${'A'.repeat(200_000)}`
    const body = `{"model":"m","messages":${partOf(url)},"tools":[{"image_url":{"url":"x"}}]}`
    const { promptSpans, promptBytes } = parsed(body)
    const [before, after] = partOf('|').split('|') as [string, string]
    const tools = '[{"image_url":{"url":"x"}}]'
    assert.deepEqual(
      promptSpans.map((span) => at(body, span)),
      [before, url, after, tools],
    )
    assert.deepEqual(
      promptSpans.map(({ countsAs }) => countsAs),
      [undefined, 4096, undefined, undefined],
    )
    assert.equal(promptBytes, 4096 + before.length + after.length + tools.length)
  })

  test('is found wherever the body is cut', () => {
    const body = Buffer.from(`{"messages":${partOf('https://a.example/x')},"model":"m","image_data":"b"}`)
    const whole = parsed([body], '/generate')
    assert.equal(whole.promptSpans.length, 6)
    for (let cut = 0; cut <= body.length; cut++) {
      const { promptSpans, promptBytes } = parsed([body.subarray(0, cut), body.subarray(cut)], '/generate')
      assert.deepEqual([promptSpans, promptBytes], [whole.promptSpans, whole.promptBytes], `${cut}`)
    }
  })
})

describe('a form', () => {
  const type = ['content-type', 'multipart/form-data; boundary=b']
  const part = (name: string, value: string): string =>
    `--b\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
  const file = '--b\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n"model"\r\n'
  const forms = apis.filter(({ form }: Api) => form === 'multipart').flatMap(({ paths }) => paths)

  test('names its model in a field', () => {
    for (const path of forms) {
      const body = `${file}${part('model', ' whisper-ä ')}${part('stream', 'true')}${part('user', 'u')}--b--\r\n`
      const request = parsed(body, path, type)
      assert.deepEqual([request.model, request.stream, request.session], ['whisper-ä', true, 'u'])
      assert.deepEqual(
        request.modelSpans.map((span) => at(body, span)),
        [' whisper-ä '],
      )
      assert.deepEqual([request.promptSpans, request.promptBytes], [[], 4], 'as sound of a moment')
    }
  })

  test('with an empty user is of no session: all of them were of one', () => {
    const body = `${part('model', 'a')}${part('user', '')}--b--`
    assert.equal(parsed(body, '/v1/audio/transcriptions', type).session, undefined)
  })

  test('names it last when it names it twice, and both are known', () => {
    const body = `${part('model', 'a')}${file}${part('model', 'b')}--b--`
    const request = parsed(body, '/v1/audio/transcriptions', type)
    assert.equal(request.model, 'b')
    assert.deepEqual(
      request.modelSpans.map((span) => at(body, span)),
      ['a', 'b'],
    )
  })

  test('may leave it out', () => {
    assert.equal(parsed(`${file}--b--`, '/v1/audio/transcriptions', type).model, '')
    assert.equal(parsed(`${file}--b--`, '/v1/audio/transcriptions', [...type, 'x-infer-model', 'm']).model, 'm')
  })

  test('is refused when it is malformed or its model too long', () => {
    const path = '/v1/audio/transcriptions'
    assert.equal(refused(part('model', 'a'), path, type).reason, 'malformed-multipart')
    assert.equal(refused('{"model":"m"}', path, ['content-type', 'application/json']).reason, 'malformed-multipart')
    assert.equal(refused('{"model":"m"}', path).reason, 'malformed-multipart')
    for (const length of [257, 1025, 5000]) {
      assert.equal(refused(`${part('model', 'x'.repeat(length))}--b--`, path, type).reason, 'missing-model')
    }
  })
})

test('a body of ten million line breaks is refused as fast as any other', () => {
  const body = Buffer.alloc(10_000_000, '\n')
  assert.match(refused([body]).message, /at byte 10000000 \(line 10000001, column 1\)/)
})

test('a WebSocket names its model in the query, or in the header, or leaves it to the engine', () => {
  const read = (target: string, headers: readonly string[] = []): InferenceRequest | Refusal => {
    const api = parseHead({ method: 'GET', target, headers })
    assert.ok(!isRefusal(api))
    return parser.parse(exchangeOf(target, headers, []), api, 'id')
  }
  const cases: readonly [target: string, model: string][] = [
    ['/v1/realtime?model=gpt-realtime', 'gpt-realtime'],
    ['/v1/realtime?intent=x&model=org%2Fname', 'org/name'],
    ['/v1/realtime?model=m&model=m', 'm'],
    ['/v1/realtime', ''],
    ['/v1/realtime?model=', ''],
    ['/v1/realtime?model=%20', ''],
  ]
  for (const [target, model] of cases) {
    const request = read(target)
    assert.ok(!isRefusal(request))
    assert.deepEqual(
      [request.model, request.target, request.api.name, request.stream],
      [model, target, 'realtime', false],
    )
  }
  const named = read('/v1/realtime?model=', ['x-infer-model', 'm'])
  assert.ok(!isRefusal(named) && named.model === 'm')
  for (const target of [
    '/v1/realtime?model=%',
    '/v1/realtime?model=a&model=b',
    `/v1/realtime?model=${'x'.repeat(257)}`,
  ]) {
    const refusal = read(target)
    assert.ok(isRefusal(refusal) && refusal.reason === 'missing-model', target)
  }
})
