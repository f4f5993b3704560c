import { createServer } from 'node:net'

/**
 * Rejects with the system's error when an address cannot be listened on alone. Sockets that share their port
 * (`reusePort`) open beside each other without a word, also beside those of another program: whoever opens them asks
 * here first.
 */
export function checkAddress(address: string, port: number): Promise<void> {
  const server = createServer((socket) => socket.destroy())
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: address, port, exclusive: true }, () => server.close(() => resolve()))
  })
}
