import { z } from 'zod'
import { byteSize, duration, flag, oneOf, port, strict, text, wholeNumber } from './scalars.ts'

/** One socket that takes requests. */
export const listenerSchema = strict({
  name: text(63).optional().describe('Name in logs and metrics.').meta({ defaultText: '`http-PORT` or `https-PORT`' }),
  address: text().prefault('0.0.0.0').describe('Address to listen on.'),
  port: port(0).prefault(8080).describe('Port to listen on; 0 lets the system choose.'),
  tls: strict({
    certFile: text(4096).describe('PEM file with the certificate and its chain.'),
    keyFile: text(4096).describe('PEM file with the private key.'),
  })
    .optional()
    .describe('Makes the listener speak TLS. Paths are relative to the configuration file; the files are watched.'),
})

/** The admin server. */
export const adminSchema = strict({
  address: text().prefault('127.0.0.1').describe('Address to listen on.'),
  port: port(0).prefault(9090).describe('Port to listen on.'),
})

const mebibyte = 1024 * 1024

/** Bounds of the HTTP front. */
export const limitsSchema = strict({
  headBytes: byteSize(1024, mebibyte).prefault('64KiB').describe('Longest request line and headers together (431).'),
  headerCount: wholeNumber(8, 4096).prefault(128).describe('Most header fields of a request (431).'),
  bodyBytes: byteSize(1024, 4096 * mebibyte)
    .prefault('32MiB')
    .describe('Longest request body (413).'),
  headTimeout: duration(100).prefault('10s').describe('Longest time for a request head to arrive (408).'),
  bodyTimeout: duration(100).prefault('30s').describe('Longest pause in the middle of a request body (408).'),
  keepAlive: duration(0).prefault('75s').describe('How long an idle connection of a client is kept.'),
  connections: wholeNumber(1, 1_000_000).prefault(20_000).describe('Most connections of one listener (503).'),
  drain: duration(0).prefault('30s').describe('How long streams may go on after the stop signal.'),
})

/** What is logged. */
export const logSchema = strict({
  level: oneOf(['debug', 'info', 'warn', 'error']).prefault('info').describe('Least severe process messages to log.'),
  access: flag().prefault(true).describe('One JSON line per request on standard output.'),
})

/** Everything beside models and profiles. */
export const gatewayShape = {
  listeners: z
    .array(listenerSchema)
    .min(1)
    .max(64)
    .optional()
    .describe('Sockets that take requests.')
    .meta({ defaultText: 'one, on `0.0.0.0:8080`' }),
  admin: adminSchema
    .optional()
    .describe('Where metrics, health and the status page are served.')
    .meta({ defaultText: 'see below' }),
  limits: limitsSchema.optional().describe('Bounds of what a client may send.').meta({ defaultText: 'see below' }),
  log: logSchema.optional().describe('What is logged.').meta({ defaultText: 'see below' }),
  exposeEndpoint: flag()
    .optional()
    .describe('Whether responses name the chosen endpoint in `x-infer-endpoint`.')
    .meta({ defaultText: '`false`' }),
}
