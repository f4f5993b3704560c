import { createServer } from 'node:net'

/** Below the range from which systems give out ports by themselves, so that nobody takes a port between probe and use. */
const first = 18_000
const last = 31_999

function isFree(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => server.close(() => resolve(true)))
  })
}

/** Finds ports on 127.0.0.1 that nobody listens on. Each process begins elsewhere. */
class FreePorts {
  #next = first + ((process.pid * 97) % (last - first))

  /** One more port. */
  async take(): Promise<number> {
    for (let tries = 0; tries < 1000; tries++) {
      const port = this.#next
      this.#next = port === last ? first : port + 1
      if (await isFree(port)) return port
    }
    throw new Error('no free port')
  }
}

/** The ports of this process: one for all, so that none is given twice. */
export const freePorts = new FreePorts()
