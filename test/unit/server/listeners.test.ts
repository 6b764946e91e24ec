import assert from 'node:assert/strict';
import { listeners as schema } from '../../../src/config/sections/listening.ts';
import type { ListenerConfig } from '../../../src/config/server-config.ts';
import { silent } from '../../../src/log.ts';
import { Listeners } from '../../../src/server/listeners.ts';

const read = (...sections: readonly unknown[]): readonly ListenerConfig[] => schema.parse(sections, 'listeners');
const C2S = { type: 'c2s', port: 5222, addresses: ['127.0.0.1'] };
const TLS = { type: 'c2s-tls', port: 5223, addresses: ['127.0.0.1', '::1'] };

describe('the listeners of a server', () => {
  let taken: Set<number>;
  let notes: string[];
  let listeners: Listeners;

  beforeEach(() => {
    taken = new Set();
    notes = [];
    let free = 40_000;
    const listen = async ({ type, port: wanted }: ListenerConfig) => {
      const port = wanted === 0 ? free++ : wanted;
      if (taken.has(port)) throw new Error(`port ${port} is in use by another program`);
      taken.add(port);
      notes.push(`+${type}:${port}`);
      return {
        port,
        close() {
          taken.delete(port);
          notes.push(`-${type}:${port}`);
        },
      };
    };
    listeners = new Listeners(listen, silent);
  });

  const take = () => notes.splice(0).join(' ');
  const shown = () => listeners.open.map(({ type, address, port }) => `${type} ${address} ${port}`);

  it('open as the config says, one entry for each address', async () => {
    await listeners.apply(read(C2S, TLS, { type: 'http', port: 0 }));
    assert.equal(take(), '+c2s:5222 +c2s-tls:5223 +http:40000');
    assert.deepEqual(shown(), [
      'c2s 127.0.0.1 5222',
      'c2s-tls 127.0.0.1 5223',
      'c2s-tls ::1 5223',
      'http 127.0.0.1 40000',
      'http ::1 40000',
    ]);
    listeners.close();
    assert.deepEqual([shown(), take()], [[], '-c2s:5222 -c2s-tls:5223 -http:40000']);
  });

  it('are left alone where nothing changed, and opened and closed where it did', async () => {
    await listeners.apply(read(C2S, { type: 'http', port: 0 }));
    take();
    await listeners.apply(read({ type: 'http', port: 0 }, C2S));
    assert.equal(take(), '');
    await listeners.apply(read(TLS, { type: 'http', port: 0 }));
    assert.equal(take(), '-c2s:5222 +c2s-tls:5223');
  });

  it('may take over the port of another one', async () => {
    await listeners.apply(read(C2S));
    take();
    await listeners.apply(read({ ...TLS, port: 5222 }));
    assert.equal(take(), '-c2s:5222 +c2s-tls:5222');
  });

  it('are as they were when one cannot be had, on the ports they had', async () => {
    await listeners.apply(read(C2S, { type: 'http', port: 0 }));
    take();
    taken.add(9999);
    await assert.rejects(listeners.apply(read(TLS, { ...C2S, port: 9999 })), {
      name: 'ConfigError',
      message: 'listeners[1]: port 9999 is in use by another program',
    });
    assert.equal(take(), '-c2s:5222 -http:40000 +c2s-tls:5223 -c2s-tls:5223 +c2s:5222 +http:40000');
    assert.equal(shown().length, 3);
  });
});
