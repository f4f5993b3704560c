/** Why a TLS handshake failed: a label of bounded choice, told to operators by the metric's help. */
export type HandshakeFailure =
  | 'timeout'
  | 'closed'
  | 'not-tls'
  | 'no-shared-version'
  | 'no-shared-cipher'
  | 'no-shared-protocol'
  | 'no-client-certificate'
  | 'bad-client-certificate'
  | 'rejected-by-client'
  | 'other'

const byCode: Readonly<Record<string, HandshakeFailure>> = {
  ECONNRESET: 'closed',
  EPIPE: 'closed',
  ERR_TLS_HANDSHAKE_TIMEOUT: 'timeout',
  ERR_SSL_HTTP_REQUEST: 'not-tls',
  ERR_SSL_HTTPS_PROXY_REQUEST: 'not-tls',
  ERR_SSL_WRONG_VERSION_NUMBER: 'not-tls',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'not-tls',
  ERR_SSL_BAD_RECORD_TYPE: 'not-tls',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'no-shared-version',
  ERR_SSL_VERSION_TOO_LOW: 'no-shared-version',
  ERR_SSL_NO_SHARED_CIPHER: 'no-shared-cipher',
  ERR_SSL_NO_APPLICATION_PROTOCOL: 'no-shared-protocol',
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: 'no-client-certificate',
}

/** The reason behind an error of the TLS library. */
export function handshakeFailureOf(error: Error & { readonly code?: unknown }): HandshakeFailure {
  const code = typeof error.code === 'string' ? error.code : ''
  const known = byCode[code]
  if (known !== undefined) return known
  // Alerts come from the other side.
  if (/^ERR_SSL_(?:SSLV3|TLSV1|TLSV13)_ALERT_/.test(code)) return 'rejected-by-client'
  return 'other'
}
