import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

const HEADER =
  "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>";

/** A line to a server in another process over which a test sends whatever it likes, and reads what comes back as it is. */
export class RawClient {
  /** All that has come, bytes as characters. */
  received = '';
  isClosed = false;
  #socket: Socket;
  #waiting: (() => void)[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#listen(socket);
  }

  /** Connects from this address of the machine. */
  static async connect(port: number, from = '127.0.0.1'): Promise<RawClient> {
    const client = new RawClient(connect({ port, host: '127.0.0.1', localAddress: from, allowHalfOpen: true }));
    await new Promise((resolve) => client.#socket.once('connect', resolve).once('close', resolve));
    return client;
  }

  /** Connects, sends a stream header and waits for the features. */
  static async open(port: number, from = '127.0.0.1'): Promise<RawClient> {
    const client = await RawClient.connect(port, from);
    client.send(HEADER);
    await client.until(/<\/stream:features>/);
    return client;
  }

  /** Sends text as UTF-8, or bytes. False when the kernel takes no more for now. */
  send(data: string | Buffer): boolean {
    return this.#socket.write(data);
  }

  /** Sends a stream header, as after STARTTLS and log-in. */
  sendHeader(): void {
    this.send(HEADER);
  }

  /** Waits until what has come matches, and throws it away up to there. Rejects when the line is closed before. */
  async until(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.received);
      if (found) {
        this.received = this.received.slice(found.index + found[0].length);
        return found;
      }
      if (this.isClosed) throw new Error(`the line is closed; last came: ${this.received.slice(-500)}`);
      await this.#news();
    }
  }

  /** Waits until the server has closed the line; all that came before. */
  async end(): Promise<string> {
    while (!this.isClosed) await this.#news();
    return this.received;
  }

  /** Waits until the kernel takes more, or the line is closed. */
  drained(): Promise<void> {
    if (this.isClosed) return Promise.resolve();
    return new Promise((resolve) => void this.#socket.once('drain', resolve).once('close', resolve));
  }

  /** Begins TLS. */
  async startTls(): Promise<void> {
    const plain = this.#socket.removeAllListeners('data').removeAllListeners('end').removeAllListeners('close');
    this.received = '';
    this.#socket = connectTls({ socket: plain, rejectUnauthorized: false, servername: 'localhost' });
    this.#listen(this.#socket);
    await new Promise((resolve) => this.#socket.once('secureConnect', resolve).once('close', resolve));
  }

  /** Reads no more of what is sent to it. */
  stopReading(): void {
    this.#socket.pause();
  }

  /** Breaks the line. */
  close(): void {
    this.#socket.destroy();
  }

  #news(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  #wake(): void {
    for (const each of this.#waiting.splice(0)) each();
  }

  #listen(socket: Socket): void {
    const gone = () => {
      this.isClosed = true;
      socket.destroy();
      this.#wake();
    };
    socket.on('data', (chunk: Buffer) => {
      this.received += chunk.toString('latin1');
      this.#wake();
    });
    socket
      .on('error', () => {})
      .on('end', gone)
      .on('close', gone);
  }
}
