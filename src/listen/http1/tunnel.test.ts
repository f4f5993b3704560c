import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Exchange, Tunnel, TunnelObserver } from '#contracts/exchange.ts'
import { Bench, get, hold } from './connection-bench.ts'

const upgrade =
  'GET /v1/realtime?model=m HTTP/1.1\r\nhost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n' +
  'sec-websocket-key: x\r\nsec-websocket-version: 13\r\n\r\n'

describe('a request to switch to WebSocket', () => {
  const cases: readonly (readonly [name: string, text: string, asks: boolean])[] = [
    ['is known', upgrade, true],
    ['must be GET', upgrade.replace('GET', 'POST'), false],
    ['must be HTTP/1.1', upgrade.replace('HTTP/1.1', 'HTTP/1.0'), false],
    ['must name the upgrade in connection', upgrade.replace(', Upgrade', ''), false],
    ['must name the protocol', upgrade.replace('WebSocket', 'h2c'), false],
    ['may name others too', upgrade.replace('WebSocket', 'h2c, websocket'), true],
    ['is not meant by a name that contains it', upgrade.replace('WebSocket', 'xwebsocket'), false],
  ]
  for (const [name, text, asks] of cases) {
    test(name, () => {
      const bench = new Bench()
      bench.send(text)
      assert.equal(bench.served[0]?.asksWebSocket, asks)
    })
  }

  test('is answered as any other when nobody takes it up, and the connection goes on', () => {
    const bench = new Bench()
    bench.send(upgrade + get)
    assert.deepEqual(bench.answers, ['200', '200'])
  })

  test('with a body is refused: nobody could say where the new protocol begins', () => {
    for (const framing of ['content-length: 3\r\n\r\nabc', 'transfer-encoding: chunked\r\n\r\n0\r\n\r\n']) {
      const bench = new Bench()
      bench.send(upgrade.slice(0, -2) + framing)
      assert.deepEqual(
        [bench.refused, bench.served.length, bench.paper.writableEnded],
        [['malformed-request'], 0, true],
      )
    }
  })
})

/** A tunnel and what its observer heard. */
class Tunnelled implements TunnelObserver {
  readonly bench = new Bench({}, hold)
  readonly heard: string[] = []
  readonly tunnel: Tunnel

  constructor(text = upgrade) {
    this.bench.send(text)
    const [exchange] = this.bench.served
    this.tunnel = (exchange as Exchange).tunnel(['connection', 'Upgrade', 'upgrade', 'websocket'], this)
  }
  data(data: Buffer, start: number, end: number): void {
    this.heard.push(data.toString('latin1', start, end))
  }
  drained(): void {
    this.heard.push('(drained)')
  }
  ended(): void {
    this.heard.push('(ended)')
  }
  closed(): void {
    this.heard.push('(closed)')
  }
}

const nextTick = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve))

describe('a tunnel', () => {
  test('answers 101 with the headers given and passes bytes both ways', async () => {
    const { bench, heard, tunnel } = new Tunnelled()
    assert.match(
      bench.paper.written,
      /^HTTP\/1\.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n$/,
    )
    bench.send('GET / HTTP/1.1\r\n')
    await nextTick()
    assert.deepEqual(heard, ['GET / HTTP/1.1\r\n'])
    const memory = Buffer.from('[answer]')
    assert.equal(tunnel.write(memory, 1, 7), true)
    memory.fill(0)
    assert.ok(bench.paper.written.endsWith('\r\n\r\nanswer'))
  })

  test('hands over what came behind the head first, and not before it is returned', async () => {
    const { bench, heard } = new Tunnelled(`${upgrade}early`)
    assert.deepEqual(heard, [])
    bench.send('later')
    await nextTick()
    assert.deepEqual(heard.join(''), 'earlylater')
  })

  test('keeps what came early while it is paused', async () => {
    const { bench, heard, tunnel } = new Tunnelled(`${upgrade}early`)
    tunnel.pause()
    bench.paper.emit('end')
    await nextTick()
    assert.deepEqual([heard, bench.paper.isPaused], [[], true])
    tunnel.resume()
    assert.deepEqual([heard, bench.paper.isPaused], [['early', '(ended)'], false])
  })

  test('passes a half-close on and is not swept away', () => {
    const { bench, heard, tunnel } = new Tunnelled()
    bench.paper.emit('end')
    bench.pass(200_000)
    assert.deepEqual([heard, bench.paper.destroyed, bench.connection.isBusy], [['(ended)'], false, true])
    assert.equal(bench.connection.idleSinceMs, Number.POSITIVE_INFINITY)
    tunnel.end()
    assert.equal(bench.paper.writableEnded, true)
    assert.equal(tunnel.write(Buffer.from('x'), 0, 1), true)
    assert.ok(!bench.paper.written.endsWith('x'))
  })

  test('asks to stop while the client does not read', () => {
    const { bench, heard, tunnel } = new Tunnelled()
    bench.paper.isStalled = true
    assert.equal(tunnel.write(Buffer.alloc(70_000), 0, 70_000), false)
    bench.paper.take(70_000)
    assert.deepEqual(heard, ['(drained)'])
  })

  test('tells the end once, however it comes', () => {
    const { bench, heard } = new Tunnelled()
    bench.connection.destroy()
    bench.paper.emit('close')
    assert.deepEqual([heard, bench.aborted], [['(closed)'], []])
  })

  test('tells nothing more once its owner has dropped it', () => {
    const { bench, heard, tunnel } = new Tunnelled()
    tunnel.destroy()
    assert.deepEqual([heard, bench.paper.destroyed, bench.closed], [[], true, 1])
  })

  test('of a client that has gone meanwhile is closed at once', async () => {
    const bench = new Bench({}, hold)
    bench.send(upgrade)
    bench.paper.destroy()
    const heard: string[] = []
    const observer = { data: () => {}, drained: () => {}, ended: () => {}, closed: () => void heard.push('closed') }
    const tunnel = bench.served[0]?.tunnel([], observer)
    assert.deepEqual(heard, [])
    await nextTick()
    assert.deepEqual([heard, bench.aborted], [['closed'], [undefined]])
    assert.equal(tunnel?.write(Buffer.from('x'), 0, 1), true)
  })
})
