import { X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContext } from 'node:tls'
import type { ListenerTls } from '#config/snapshot.ts'

/**
 * The certificates of a listener by the names they are made out to. The first one that names a host serves it; an exact
 * name comes before a wildcard; who asks for no name, or for one that nobody has, gets the first certificate.
 */
export class CertificateTable {
  readonly first: SecureContext
  /** Whether there is anything to choose from. */
  readonly hasSeveral: boolean
  /** Lower case; wildcards as `*.rest`. */
  readonly #byName = new Map<string, SecureContext>()

  /** Throws the system's error when a certificate and its key cannot be used. */
  constructor(tls: ListenerTls) {
    const contexts = tls.certificates.map((pair) => {
      const context = createSecureContext({
        ...pair,
        minVersion: tls.minVersion,
        ...(tls.clientCa === undefined ? {} : { ca: tls.clientCa }),
      })
      for (const name of namesOf(pair.cert)) if (!this.#byName.has(name)) this.#byName.set(name, context)
      return context
    })
    const [first] = contexts
    if (first === undefined) throw new RangeError('a TLS listener needs a certificate')
    this.first = first
    this.hasSeveral = contexts.length > 1
  }

  /** The certificate for the name that a client asks for. */
  find(serverName: string): SecureContext {
    const name = serverName.toLowerCase()
    const exact = this.#byName.get(name)
    if (exact !== undefined) return exact
    // A wildcard stands for exactly one label (RFC 9525 6.3).
    const dot = name.indexOf('.')
    return (dot > 0 ? this.#byName.get(`*${name.slice(dot)}`) : undefined) ?? this.first
  }
}

const dnsName = /^DNS:((?:\*\.)?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)$/

/** DNS names of a certificate's subject alternative names, in lower case; of its common name when it has none. */
export function namesOf(pem: string): string[] {
  const certificate = new X509Certificate(pem)
  const names = (certificate.subjectAltName ?? '').split(', ').flatMap((entry) => dnsName.exec(entry)?.[1] ?? [])
  const common = /^CN=(.+)$/m.exec(certificate.subject)?.[1]
  const all = names.length === 0 && common !== undefined ? [common] : names
  return all.map((name) => name.toLowerCase())
}
