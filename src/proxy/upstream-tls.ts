import { isIP } from 'node:net'
import { type ConnectionOptions, connect, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls'
import type { EndpointPlan, UpstreamTls } from '#config/snapshot.ts'

/** The part of `tls.connect` that is the same for every connection to an endpoint. */
export type UpstreamTlsOptions = Pick<
  ConnectionOptions,
  'ALPNProtocols' | 'rejectUnauthorized' | 'servername' | 'ca' | 'cert' | 'key'
>

/** How a connection to an endpoint is secured: name to ask for and check, authority, what the gateway shows of itself. */
export function upstreamTlsOptions({ host }: EndpointPlan, tls: UpstreamTls): UpstreamTlsOptions {
  const serverName = tls.serverName ?? (isIP(host) === 0 ? host : undefined)
  return {
    ALPNProtocols: ['http/1.1'],
    rejectUnauthorized: !tls.insecureSkipVerify,
    ...(serverName === undefined ? {} : { servername: serverName }),
    ...(tls.ca === undefined ? {} : { ca: tls.ca }),
    ...(tls.certificate === undefined ? {} : { cert: tls.certificate.cert, key: tls.certificate.key }),
  }
}

/**
 * The TLS side of one endpoint's connections: authority and certificate are read once, and the last session is offered
 * to the next connection, which spares both sides the signature and a round trip.
 */
export class UpstreamTlsClient {
  readonly #endpoint: EndpointPlan
  readonly #options: Omit<UpstreamTlsOptions, 'ca' | 'cert' | 'key'>
  readonly #context: SecureContext
  #session: Buffer | undefined = undefined

  /** Throws the system's error when certificate and key cannot be used. */
  constructor(endpoint: EndpointPlan, tls: UpstreamTls) {
    const { ca, cert, key, ...options } = upstreamTlsOptions(endpoint, tls)
    this.#endpoint = endpoint
    this.#options = options
    this.#context = createSecureContext({ ca, cert, key })
  }

  /** A socket that is connecting. */
  connect(): TLSSocket {
    const { host, port } = this.#endpoint
    const options: ConnectionOptions = { host, port, ...this.#options, secureContext: this.#context }
    if (this.#session !== undefined) options.session = this.#session
    const socket = connect(options)
    socket.setNoDelay(true)
    socket.on('session', (session) => {
      this.#session = session
    })
    // Whatever failed, the next connection begins without what this one had from the last.
    socket.on('error', () => {
      this.#session = undefined
    })
    return socket
  }
}
