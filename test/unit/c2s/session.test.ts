import assert from 'node:assert/strict';
import type { Probe } from '../../support/probe.ts';
import { settle } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

describe("a client's session", () => {
  let host: TestHost;
  let romeo: Probe;
  let juliet: Probe;

  beforeEach(async () => {
    host = await startHost([]);
    romeo = await host.online('romeo', 'orchard');
    juliet = await host.online('juliet', 'balcony');
  });

  afterEach(() => host.stop());

  it('stamps the true sender, whatever the client has written (RFC 6120 section 8.1.2.1)', async () => {
    for (const from of [
      '',
      " from='romeo@example.org'",
      " from='romeo@example.org/orchard'",
      " from='ROMEO@Example.ORG/orchard'",
      " from='romeo@example.org/other'",
    ]) {
      romeo.send(`<message${from} to='juliet@example.org/balcony'/>`);
      assert.equal((await juliet.receive('message')).attrs['from'], 'romeo@example.org/orchard');
    }
  });

  for (const from of ['juliet@example.org', 'juliet@example.org/orchard', 'example.org', 'romeo@example.org/', '@', 'romeo']) {
    it(`ends the stream of a client that claims to be "${from}"`, async () => {
      romeo.send(`<message from='${from}' to='juliet@example.org/balcony'/>`);
      const error = await romeo.receive('stream:error');
      assert.notEqual(error.getChild('invalid-from'), undefined);
      await juliet.quiet();
    });
  }

  it('prepares the addressee (RFC 7622)', async () => {
    romeo.send("<message to='JULIET@Example.org/balcony'/>");
    assert.equal((await juliet.receive('message')).attrs['to'], 'juliet@example.org/balcony');
  });

  for (const to of ['@example.org', 'a@', 'a@b/', 'a b@example.org', '/x', 'x'.repeat(1024)]) {
    it(`answers jid-malformed for "${to.slice(0, 20)}"`, async () => {
      const answer = await romeo.ask(`<iq type='get' to='${to}'><q xmlns='urn:q'/></iq>`);
      assert.notEqual(answer.getChild('error')!.getChild('jid-malformed'), undefined);
    });
  }

  for (const [name, iq] of [
    ['without an id', "<iq type='get'><q xmlns='urn:q'/></iq>"],
    ['without a type', "<iq id='1'><q xmlns='urn:q'/></iq>"],
    ['of an unknown type', "<iq id='1' type='ask'><q xmlns='urn:q'/></iq>"],
    ['that asks nothing', "<iq id='1' type='get'/>"],
    ['that asks two things', "<iq id='1' type='set'><a xmlns='urn:a'/><b xmlns='urn:b'/></iq>"],
  ] as const) {
    it(`refuses an IQ ${name} (RFC 6120 section 8.2.3)`, async () => {
      romeo.send(iq);
      const answer = await romeo.receive('iq');
      assert.equal(answer.attrs['type'], 'error');
      assert.notEqual(answer.getChild('error')!.getChild('bad-request'), undefined);
    });
  }

  for (const priority of ['128', '-129', '1e2', '', 'high', '0x1', '1 2', '99999']) {
    it(`refuses the priority "${priority}" (RFC 6121 section 4.7.2.3)`, async () => {
      romeo.send(`<presence><priority>${priority}</priority></presence>`);
      await settle();
      assert.equal(romeo.session.priority, 0);
    });
  }

  it('takes priorities within their bounds', async () => {
    for (const [text, value] of [
      ['127', 127],
      ['-128', -128],
      [' 5 ', 5],
      ['+3', 3],
    ] as const) {
      romeo.send(`<presence><priority>${text}</priority></presence>`);
      await settle();
      assert.equal(romeo.session.priority, value);
    }
  });

  it('ends a stream that sends what is no stanza', async () => {
    romeo.send("<massage to='juliet@example.org'/>");
    assert.notEqual((await romeo.receive('stream:error')).getChild('unsupported-stanza-type'), undefined);
  });

  it('replaces an older client of the same address, which is told so (RFC 6120 section 7.7.2.2)', async () => {
    const again = await host.login('romeo', 'orchard');
    assert.notEqual((await romeo.receive('stream:error')).getChild('conflict'), undefined);
    again.send('<presence/>');
    await settle();
    again.take();
    juliet.send("<message to='romeo@example.org/orchard'/>");
    await again.receive('message');
  });

  it('refuses the newer one, or gives it another name, where the config says so', async () => {
    await host.stop();
    host = await startHost([], { settings: { resourceConflict: 'refuse' } });
    romeo = await host.login('romeo', 'orchard');
    await assert.rejects(host.login('romeo', 'orchard'), { condition: 'conflict' });
    await host.stop();
    host = await startHost([], { settings: { resourceConflict: 'rename' } });
    romeo = await host.login('romeo', 'orchard');
    const other = await host.login('romeo', 'orchard');
    assert.notEqual(other.jid, romeo.jid);
    await romeo.quiet();
  });

  it('allows an account so many clients and no more', async () => {
    await host.stop();
    host = await startHost([], { settings: { resourcesPerAccount: 2 } });
    romeo = await host.login('romeo');
    await host.login('romeo');
    await assert.rejects(host.login('romeo'), { condition: 'resource-constraint' });
    romeo.drop();
    await host.login('romeo');
  });

  it('makes up a name that cannot be guessed for a client that asks for none', async () => {
    const names = new Set<string>();
    for (let i = 0; i < 5; i++) names.add((await host.login('romeo')).session.jid.resource);
    assert.equal(names.size, 5);
    for (const name of names) assert.match(name, /^[\w-]{16,}$/);
  });

  it('is not reached any more once its line is gone', async () => {
    juliet.drop();
    const answer = await romeo.ask("<iq type='get' to='juliet@example.org/balcony'><q xmlns='urn:q'/></iq>");
    assert.notEqual(answer.getChild('error')!.getChild('service-unavailable'), undefined);
  });
});
