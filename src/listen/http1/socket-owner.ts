import type { Socket } from 'node:net'

/** Who is told what happens on a socket. */
export interface SocketOwner {
  /** `chunk` is memory of its own that may be kept. */
  read(chunk: Buffer): void
  drained(): void
  ended(): void
  failed(): void
  closed(): void
}

const owner: unique symbol = Symbol('owner')

interface OwnedSocket extends Socket {
  [owner]?: SocketOwner
}

/**
 * Sends the events of `socket` to `to`, and no more to who had them. The listeners are the same functions for every
 * socket: five closures for each of ten thousand connections are 4 MB.
 */
export function ownSocket(socket: Socket, to: SocketOwner): void {
  const owned = socket as OwnedSocket
  const isNew = owned[owner] === undefined
  owned[owner] = to
  if (!isNew) return
  socket.on('data', onData)
  socket.on('drain', onDrain)
  socket.on('end', onEnd)
  socket.on('error', onError)
  socket.on('close', onClose)
}

/** Gives a socket back that somebody else reads from now on, and listens to its end. */
export function disownSocket(socket: Socket): void {
  socket.off('data', onData)
  socket.off('drain', onDrain)
  socket.off('end', onEnd)
  socket.off('error', onError)
  socket.off('close', onClose)
  delete (socket as OwnedSocket)[owner]
}

function onData(this: OwnedSocket, chunk: Buffer): void {
  this[owner]?.read(chunk)
}

function onDrain(this: OwnedSocket): void {
  this[owner]?.drained()
}

function onEnd(this: OwnedSocket): void {
  this[owner]?.ended()
}

function onError(this: OwnedSocket): void {
  this[owner]?.failed()
}

function onClose(this: OwnedSocket): void {
  this[owner]?.closed()
}
