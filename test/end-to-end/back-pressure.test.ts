import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { after, test } from 'node:test'
import { RunningGateway } from './support/gateway.ts'
import { postBytes, RawClient } from './support/raw-client.ts'
import { RawUpstream } from './support/raw-upstream.ts'
import { sleep, waitFor } from './support/wait.ts'

const mebibyte = 1024 * 1024
const totalBytes = 64 * mebibyte

/** How much the engine has got rid of, over all answers. */
const sent = { bytes: 0 }

/** Writes `piece` again and again, as fast as it is taken. */
async function pour(socket: Socket, type: string, piece: Buffer): Promise<void> {
  sent.bytes = 0
  socket.write(`HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ncontent-length: ${totalBytes}\r\n\r\n`)
  while (sent.bytes < totalBytes && !socket.destroyed) {
    sent.bytes += piece.length
    if (!socket.write(piece)) await once(socket, 'drain').catch(() => {})
  }
}

const event = Buffer.from(`data: {"choices":[{"delta":{"content":"${'x'.repeat(4096 - 46)}"}}]}\n\n`)
const kinds = [
  {
    title: 'a stream of events',
    type: 'text/event-stream',
    piece: Buffer.concat(Array.from({ length: 16 }, () => event)),
  },
  { title: 'a JSON document', type: 'application/json', piece: Buffer.alloc(65_536, ' ') },
  { title: 'audio', type: 'audio/wav', piece: Buffer.alloc(65_536, 1) },
]

const upstream = await RawUpstream.start(() => {})
const gateway = await RunningGateway.start(
  {
    models: { tiny: { endpoints: [upstream.url], injectUsage: false, timeouts: { idle: '500ms' } } },
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

const memory = async (): Promise<number> => (await gateway.metrics()).sum('process_resident_memory_bytes')

for (const { title, type, piece } of kinds) {
  test(`${title} waits in the engine while the client does not read, and is whole when it does`, async (t) => {
    assert.equal(totalBytes % piece.length, 0)
    upstream.answer = (socket) => pour(socket, type, piece)
    const before = await memory()
    const client = await RawClient.connect(gateway.port)
    // Before it asks: the whole answer would pass in the time that a test takes to notice its first bytes.
    client.socket.pause()
    t.after(() => client.close())
    client.write(postBytes('/v1/chat/completions', Buffer.from('{"model":"tiny","messages":[],"stream":true}')))
    await waitFor('first bytes', () => sent.bytes > 0)
    // Longer than the pause that an engine is allowed: it is the client who does not read.
    await sleep(1200)
    const held = sent.bytes
    await sleep(100)
    assert.equal(sent.bytes, held, 'the engine goes on')
    assert.ok(held < totalBytes / 2, `${held} bytes have left the engine`)
    assert.ok((await memory()) - before < 64 * mebibyte, `${((await memory()) - before) / mebibyte} MiB more memory`)
    client.socket.resume()
    const { status, body } = await client.response(20_000)
    assert.equal(status, 200)
    assert.equal(body.length, totalBytes)
    assert.ok(body.subarray(-piece.length).equals(piece))
  })
}
