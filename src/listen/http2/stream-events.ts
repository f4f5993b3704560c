import type { ServerHttp2Stream } from 'node:http2'

/** Who is told what happens on a stream. */
export interface StreamOwner {
  /** `chunk` is part of a larger buffer and must not be kept. */
  read(chunk: Buffer): void
  bodyEnded(): void
  drained(): void
  /** The stream is gone, however it ended. */
  closed(): void
}

const owner: unique symbol = Symbol('owner')

interface OwnedStream extends ServerHttp2Stream {
  [owner]?: StreamOwner
}

/** Sends the events of `stream` to `to`. The listeners are the same functions for every stream: requests make none. */
export function ownStream(stream: ServerHttp2Stream, to: StreamOwner): void {
  ;(stream as OwnedStream)[owner] = to
  stream.on('drain', onDrain)
  stream.on('error', ignore)
  stream.on('close', onClose)
}

/** Reads the body of an owned stream. */
export function readBody(stream: ServerHttp2Stream): void {
  stream.on('data', onData)
  stream.on('end', onEnd)
}

function onData(this: OwnedStream, chunk: Buffer): void {
  this[owner]?.read(chunk)
}

function onEnd(this: OwnedStream): void {
  this[owner]?.bodyEnded()
}

function onDrain(this: OwnedStream): void {
  this[owner]?.drained()
}

function onClose(this: OwnedStream): void {
  this[owner]?.closed()
}

/** What went wrong is told by the close that follows. */
function ignore(): void {}
