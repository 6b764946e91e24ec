// A line between a client and the server that a test can break, as wires and wireless do it: without a word to either side.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** Passes on what comes over TCP, until it is told to break. */
export class Line {
  readonly #server: Server;
  readonly #target: number;
  readonly #sockets = new Set<Socket>();
  /** Both ends of what is passed on now. */
  #ends: (readonly [client: Socket, server: Socket])[] = [];
  /** Clients that have connected while the line was cut. */
  #early: Socket[] = [];
  #isCut = false;
  #isLosing = false;
  #lost = 0;
  #onLost: () => void = () => {};

  private constructor(server: Server, target: number) {
    this.#server = server;
    this.#target = target;
    server.on('connection', (client) => {
      this.#keep(client);
      if (this.#isCut) this.#early.push(client);
      else this.#join(client);
    });
  }

  /** A line to this port of this machine. */
  static async to(target: number): Promise<Line> {
    const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Line(server, target);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** From now on what either side sends is lost, while both believe that the line is fine. */
  lose(): void {
    this.#isLosing = true;
    this.#lost = 0;
  }

  /** Resolves when so many bytes of the client have been lost. */
  async hasLost(bytes: number): Promise<void> {
    while (this.#lost < bytes)
      await new Promise<void>((resolve) => {
        this.#onLost = resolve;
      });
  }

  /** Resets the client's connections, and the server's unless it is not to notice. Whoever connects now waits until the line is mended. */
  cut(isNoticed = true): void {
    this.#isCut = true;
    for (const [client, server] of this.#ends) {
      client.resetAndDestroy();
      if (isNoticed) server.resetAndDestroy();
    }
    this.#ends = [];
  }

  /** Passes on what comes, for new connections. */
  mend(): void {
    this.#isCut = false;
    this.#isLosing = false;
    for (const client of this.#early.splice(0)) this.#join(client);
  }

  /** Ends all of it. */
  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #join(client: Socket): void {
    const server = this.#keep(connect(this.#target, '127.0.0.1'));
    this.#ends.push([client, server]);
    client.on('data', (chunk: Buffer) => {
      if (!this.#isLosing) return void server.write(chunk);
      this.#lost += chunk.length;
      this.#onLost();
    });
    server.on('data', (chunk: Buffer) => {
      if (!this.#isLosing && !client.destroyed) client.write(chunk);
    });
    client.on('end', () => server.end());
    server.on('end', () => client.end());
    client.resume();
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket);
    return socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket));
  }
}
