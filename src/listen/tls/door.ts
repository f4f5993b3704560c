import type { Socket } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import type { ListenerTls } from '#config/snapshot.ts'
import { CertificateTable } from './certificate-table.ts'
import { handshakeFailureOf } from './failure-reason.ts'
import { TlsHandshake } from './handshake.ts'

/** A TLS socket with the one below it, from Node's own books. */
interface Layered {
  readonly _parent?: Socket
}

/** What happens after a handshake. */
export type Secured = (socket: TLSSocket, handshake: TlsHandshake) => void

/** Longer than any limit that may be configured: deadlines are the listener's sweep. */
const noTimeoutMs = 2 ** 31 - 1

/** The settings of TLS in force, made once for all connections; a change of settings is another door. */
export class TlsDoor {
  readonly #server: Server
  readonly #mayLackCertificate: boolean
  readonly #secured: Secured

  /** Throws the system's error when a certificate and its key cannot be used. */
  constructor(tls: ListenerTls, http2: boolean, secured: Secured) {
    const certificates = new CertificateTable(tls)
    const asks = tls.clientCa !== undefined
    this.#secured = secured
    this.#mayLackCertificate = tls.clientAuth === 'optional'
    this.#server = createServer({
      ...tls.certificates[0],
      minVersion: tls.minVersion,
      ALPNProtocols: http2 ? ['h2', 'http/1.1'] : ['http/1.1'],
      handshakeTimeout: noTimeoutMs,
      ...(asks ? { ca: tls.clientCa, requestCert: true, rejectUnauthorized: !this.#mayLackCertificate } : {}),
      ...(certificates.hasSeveral
        ? { SNICallback: (name: string, done: Chosen) => done(null, certificates.find(name)) }
        : {}),
    })
    this.#server.on('secureConnection', (socket) => this.#complete(socket))
    this.#server.on('tlsClientError', (error, socket) => {
      handshakeOf(socket)?.fail(this.#isUnauthorized(socket) ? 'bad-client-certificate' : handshakeFailureOf(error))
      socket.destroy()
    })
  }

  /** Begins the handshake on a socket of which TLS has read nothing. */
  begin(raw: Socket): void {
    // A client that ends its side before the handshake is complete has left.
    raw.allowHalfOpen = false
    this.#server.emit('connection', raw)
  }

  #complete(socket: TLSSocket): void {
    const handshake = handshakeOf(socket)
    if (handshake === undefined) {
      socket.destroy()
      return
    }
    if (this.#isUnauthorized(socket)) return handshake.fail('bad-client-certificate')
    handshake.finish()
    socket.allowHalfOpen = true
    this.#secured(socket, handshake)
  }

  /** A certificate that is shown must be valid even where none is needed. */
  #isUnauthorized(socket: TLSSocket): boolean {
    if (!socket.authorizationError) return false
    return !this.#mayLackCertificate || socket.getPeerX509Certificate() !== undefined
  }
}

type Chosen = (error: null, context: CertificateTable['first']) => void

function handshakeOf(socket: TLSSocket): TlsHandshake | undefined {
  const raw = (socket as unknown as Layered)._parent
  return raw === undefined ? undefined : TlsHandshake.of(raw)
}
