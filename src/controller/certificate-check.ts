import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import type { CertificatePair } from '#config/snapshot.ts'
import { complain, type Findings, type Spot, warn } from './findings.ts'

/** A certificate and its key as they were read, and where the configuration names them. */
export interface NamedPair {
  readonly pair: CertificatePair
  readonly certFile: string
  readonly keyFile: string
  readonly certSpot: Spot
  readonly keySpot: Spot
}

/** Shorter RSA keys are refused by TLS libraries of our day, OpenSSL 3 with its defaults among them. */
const leastRsaBits = 2048
const dayMs = 86_400_000

/**
 * Finds out now what would break every handshake later: what cannot be read, and a key that belongs to another
 * certificate. What is out of date is worth a warning only, so that a restart does not make an expiry an outage. `nowMs`
 * is Clock.wallMs; undefined leaves validity alone.
 */
export function checkPair(named: NamedPair, nowMs: number | undefined, findings: Findings): void {
  const certificate = readCertificate(named, findings)
  const key = readKey(named, findings)
  if (certificate === undefined || key === undefined) return
  if (!certificate.checkPrivateKey(key)) {
    const message = `the key in '${named.keyFile}' does not belong to the certificate in '${named.certFile}'`
    complain(findings, named.keySpot, message, { hint: 'the first certificate in the file is the one the key is for' })
    return
  }
  const bits = key.asymmetricKeyDetails?.modulusLength
  if (key.asymmetricKeyType?.startsWith('rsa') === true && bits !== undefined && bits < leastRsaBits) {
    complain(findings, named.keySpot, `the key in '${named.keyFile}' has ${bits} bits; RSA needs ${leastRsaBits}`)
  }
  if (nowMs !== undefined) checkValidity(named, certificate, nowMs, findings)
}

function readCertificate({ pair, certFile, certSpot }: NamedPair, findings: Findings): X509Certificate | undefined {
  try {
    return new X509Certificate(pair.cert)
  } catch {
    complain(findings, certSpot, `file '${certFile}' has no certificate that can be read`)
    return undefined
  }
}

function readKey({ pair, keyFile, keySpot }: NamedPair, findings: Findings): KeyObject | undefined {
  // Not left to the library, which may ask the terminal for the passphrase.
  if (/BEGIN ENCRYPTED|^Proc-Type:.*ENCRYPTED/m.test(pair.key)) {
    complain(findings, keySpot, `file '${keyFile}' has an encrypted key`, { hint: 'store it without a passphrase' })
    return undefined
  }
  try {
    return createPrivateKey(pair.key)
  } catch {
    complain(findings, keySpot, `file '${keyFile}' has no private key that can be read`)
    return undefined
  }
}

function checkValidity(
  { certFile, certSpot }: NamedPair,
  { validFromDate, validToDate }: X509Certificate,
  nowMs: number,
  findings: Findings,
): void {
  const day = (date: Date): string => date.toISOString().slice(0, 10)
  if (validToDate.getTime() < nowMs) {
    warn(findings, certSpot, `the certificate in '${certFile}' expired on ${day(validToDate)}`)
  } else if (validToDate.getTime() < nowMs + 7 * dayMs) {
    warn(findings, certSpot, `the certificate in '${certFile}' expires on ${day(validToDate)}`)
  } else if (validFromDate.getTime() > nowMs) {
    warn(findings, certSpot, `the certificate in '${certFile}' is not valid before ${day(validFromDate)}`)
  }
}
