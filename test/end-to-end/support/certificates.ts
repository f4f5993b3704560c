import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CertificatePair } from '#config/snapshot.ts'

/** Writes `NAME.pem` and `NAME.key` to a directory and says where, as the configuration of a listener does. */
export function writePair(
  directory: string,
  name: string,
  pair: CertificatePair,
): { certFile: string; keyFile: string } {
  const [certFile, keyFile] = [join(directory, `${name}.pem`), join(directory, `${name}.key`)]
  writeFileSync(keyFile, pair.key)
  writeFileSync(certFile, pair.cert)
  return { certFile, keyFile }
}
