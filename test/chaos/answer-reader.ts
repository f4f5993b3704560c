/** An answer as a client sees it. */
export interface Answer {
  readonly status: number
  /** Names in lower case; a name that comes twice has its values joined by a comma. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
  /** False when the connection ended before the framing said that the answer is complete. */
  readonly isWhole: boolean
  /** Whether the server ends the connection behind it. */
  readonly isLast: boolean
}

const empty: Buffer = Buffer.alloc(0)
const lineEnd = Buffer.from('\r\n')
const headEnd = Buffer.from('\r\n\r\n')

/** Reads answers, one after the other, and takes nothing for granted: what is not exactly HTTP/1.1 is an error. */
export class AnswerReader {
  /** What was not HTTP. */
  error: string | undefined = undefined
  /** Interim answers (1xx) so far. */
  interim = 0
  #rest: Buffer = empty
  #phase: 'head' | 'length' | 'size' | 'data' | 'data-end' | 'trailer' | 'close' = 'head'
  #left = 0
  #status = 0
  #headers = new Map<string, string>()
  #parts: Buffer[] = []
  readonly #answers: Answer[] = []

  /** Bytes of the answer under way, and whether there are any. */
  get hasBegun(): boolean {
    return this.#phase !== 'head' || this.#rest.length > 0
  }

  /** Whether an answer, or what is none, is there to be taken. */
  get hasAnswer(): boolean {
    return this.#answers.length > 0 || this.error !== undefined
  }

  /** The next whole answer. */
  take(): Answer | undefined {
    return this.#answers.shift()
  }

  /** Takes what came. */
  push(bytes: Buffer): void {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    while (this.error === undefined && this.#step());
  }

  /** The connection has ended; an orderly end is the end of a body that has no length. What else is under way is cut. */
  end(isOrderly: boolean): void {
    if (this.#phase === 'head') {
      if (this.#rest.length === 0) return
      this.#status = 0
      this.#headers = new Map()
    }
    this.#complete(isOrderly && this.#phase === 'close')
  }

  /** One step of the grammar; false when more bytes are needed. */
  #step(): boolean {
    switch (this.#phase) {
      case 'head':
        return this.#readHead()
      case 'length':
      case 'data':
        return this.#readData()
      case 'size':
        return this.#readSize()
      case 'data-end':
        return this.#readLine((line) => {
          if (line !== '') this.error = `a chunk is followed by ${JSON.stringify(line)}`
          this.#phase = 'size'
        })
      case 'trailer':
        return this.#readLine((line) => {
          if (line === '') this.#complete(true)
        })
      case 'close':
        if (this.#rest.length === 0) return false
        this.#parts.push(this.#rest)
        this.#rest = empty
        return false
    }
  }

  #readHead(): boolean {
    const end = this.#rest.indexOf(headEnd)
    if (end < 0) return false
    const [statusLine = '', ...lines] = this.#rest.toString('latin1', 0, end).split('\r\n')
    this.#rest = this.#rest.subarray(end + 4)
    const match = /^HTTP\/1\.1 ([1-5]\d\d) [\x20-\x7e]*$/.exec(statusLine)
    if (match === null) {
      this.error = `the status line is ${JSON.stringify(statusLine.slice(0, 100))}`
      return false
    }
    this.#status = Number(match[1])
    this.#headers = new Map()
    for (const line of lines) {
      const field = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t\x20-\x7e\x80-\xff]*)$/.exec(line)
      if (field === null) {
        this.error = `a header is ${JSON.stringify(line.slice(0, 100))}`
        return false
      }
      const name = (field[1] as string).toLowerCase()
      const before = this.#headers.get(name)
      this.#headers.set(name, before === undefined ? (field[2] as string) : `${before}, ${field[2]}`)
    }
    if (this.#status < 200) {
      this.interim++
      return true
    }
    return this.#beginBody()
  }

  #beginBody(): boolean {
    const length = this.#headers.get('content-length')
    const coding = this.#headers.get('transfer-encoding')
    this.#parts = []
    if (length !== undefined && coding !== undefined) this.error = 'both a length and a transfer coding'
    else if (length !== undefined && !/^\d+$/.test(length)) this.error = `the length is ${length}`
    else if (coding !== undefined && coding !== 'chunked') this.error = `the transfer coding is ${coding}`
    if (this.error !== undefined) return false
    if (this.#status === 204 || this.#status === 304) this.#complete(true)
    else if (coding !== undefined) this.#phase = 'size'
    else if (length === undefined) this.#phase = 'close'
    else {
      this.#phase = 'length'
      this.#left = Number(length)
      if (this.#left === 0) this.#complete(true)
    }
    return true
  }

  #readData(): boolean {
    if (this.#rest.length === 0) return false
    const taken = this.#rest.subarray(0, this.#left)
    this.#parts.push(taken)
    this.#left -= taken.length
    this.#rest = this.#rest.subarray(taken.length)
    if (this.#left > 0) return false
    if (this.#phase === 'length') this.#complete(true)
    else this.#phase = 'data-end'
    return true
  }

  #readSize(): boolean {
    return this.#readLine((line) => {
      if (!/^[0-9a-fA-F]{1,8}$/.test(line)) this.error = `a chunk size is ${JSON.stringify(line.slice(0, 100))}`
      this.#left = Number.parseInt(line, 16)
      this.#phase = this.#left === 0 ? 'trailer' : 'data'
    })
  }

  #readLine(use: (line: string) => void): boolean {
    const end = this.#rest.indexOf(lineEnd)
    if (end < 0) return false
    const line = this.#rest.toString('latin1', 0, end)
    this.#rest = this.#rest.subarray(end + 2)
    use(line)
    return this.error === undefined
  }

  #complete(isWhole: boolean): void {
    const isLast = !isWhole || this.#phase === 'close' || this.#headers.get('connection') === 'close'
    const body = this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts)
    this.#answers.push({
      status: this.#status,
      headers: this.#headers,
      body: body.toString('latin1'),
      isWhole,
      isLast,
    })
    this.#parts = []
    this.#phase = 'head'
  }
}
