import assert from 'node:assert/strict';
import disco from '../../../modules/disco/index.ts';
import vcard from '../../../modules/vcard/index.ts';
import { conditionOf, payloadOf } from '../../support/answers.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const ASK = "<vCard xmlns='vcard-temp'/>";
const CARD =
  "<vCard xmlns='vcard-temp'><FN>Juliet &amp; co</FN><PHOTO><TYPE>image/png</TYPE><BINVAL>aGk=</BINVAL></PHOTO></vCard>";

describe('vcard', () => {
  let host: TestHost;
  beforeEach(async () => {
    host = await startHost([vcard, disco], { modules: { vcard: { maxBytes: '2KiB', maxPhotoBytes: 900 } } });
  });
  afterEach(() => host.stop());

  it('is empty as long as nothing was set (XEP-0054 section 3.1)', async () => {
    const juliet = await host.online('juliet');
    const card = payloadOf(await juliet.ask(`<iq type='get'>${ASK}</iq>`));
    assert.deepEqual([card.name, card.getNS(), card.children], ['vCard', 'vcard-temp', []]);
  });

  it('is kept as it was set, for oneself and for others, whether one is here or not (XEP-0054 sections 3.2 and 3.3)', async () => {
    const juliet = await host.online('juliet');
    const romeo = await host.online('romeo');
    const reply = await juliet.ask(`<iq type='set'>${CARD}</iq>`);
    assert.deepEqual([reply.attrs['type'], reply.children], ['result', []]);
    const own = payloadOf(await juliet.ask(`<iq type='get' to='juliet@example.org'>${ASK}</iq>`));
    assert.equal(own.getChildText('FN'), 'Juliet & co');
    juliet.leave();
    const seen = await romeo.ask(`<iq type='get' to='juliet@example.org'>${ASK}</iq>`);
    assert.equal(seen.attrs['from'], 'juliet@example.org');
    assert.equal(payloadOf(seen).getChild('PHOTO')?.getChildText('BINVAL'), 'aGk=');
  });

  it('keeps the meaning of prefixes and nested namespaces', async () => {
    const juliet = await host.online('juliet');
    await juliet.ask(
      "<iq type='set' xmlns='jabber:client' xmlns:y='urn:y'><v:vCard xmlns:v='vcard-temp'><v:FN>J</v:FN><y:z y:a='1'/></v:vCard></iq>",
    );
    const card = payloadOf(await juliet.ask(`<iq type='get'>${ASK}</iq>`));
    assert.equal(card.getChildText('FN', 'vcard-temp'), 'J');
    assert.equal(card.getChild('z', 'urn:y')?.attrs['y:a'], '1');
  });

  it('is taken back by an empty one', async () => {
    const juliet = await host.online('juliet');
    const romeo = await host.online('romeo');
    await juliet.ask(`<iq type='set'>${CARD}</iq>`);
    await juliet.ask(`<iq type='set'>${ASK}</iq>`);
    assert.equal(conditionOf(await romeo.ask(`<iq type='get' to='juliet@example.org'>${ASK}</iq>`)), 'service-unavailable');
  });

  it('does not tell an account without a vCard from one that does not exist (XEP-0054 section 3.3)', async () => {
    const juliet = await host.online('juliet');
    await host.online('romeo');
    const replies = [];
    for (const name of ['romeo', 'nobody']) {
      replies.push(String((await juliet.ask(`<iq type='get' to='${name}@example.org'>${ASK}</iq>`)).getChild('error')));
    }
    assert.match(replies[0]!, /service-unavailable/);
    assert.equal(replies[0], replies[1]);
  });

  it("refuses to change anybody else's, whether there is such an account or not (XEP-0054 section 3.2)", async () => {
    const juliet = await host.online('juliet');
    const romeo = await host.online('romeo');
    await juliet.ask(`<iq type='set'>${CARD}</iq>`);
    for (const to of ['juliet@example.org', 'nobody@example.org']) {
      assert.equal(
        conditionOf(await romeo.ask(`<iq type='set' to='${to}'><vCard xmlns='vcard-temp'><FN>R</FN></vCard></iq>`)),
        'forbidden',
      );
    }
    assert.equal(payloadOf(await juliet.ask(`<iq type='get'>${ASK}</iq>`)).getChildText('FN'), 'Juliet & co');
    assert.equal(conditionOf(await romeo.ask(`<iq type='set' to='example.org'>${CARD}</iq>`)), 'service-unavailable');
  });

  it('refuses what is too big, as a whole or in its pictures, and keeps what was there', async () => {
    const juliet = await host.online('juliet');
    await juliet.ask(`<iq type='set'>${CARD}</iq>`);
    for (const inner of [
      `<DESC>${'x'.repeat(2100)}</DESC>`,
      `<PHOTO><BINVAL>${'A'.repeat(1300)}</BINVAL></PHOTO>`,
      `<LOGO><BINVAL>${'A'.repeat(1300)}</BINVAL></LOGO>`,
    ]) {
      const reply = await juliet.ask(`<iq type='set'><vCard xmlns='vcard-temp'>${inner}</vCard></iq>`);
      assert.equal(conditionOf(reply), 'policy-violation');
    }
    assert.equal(payloadOf(await juliet.ask(`<iq type='get'>${ASK}</iq>`)).getChildText('FN'), 'Juliet & co');
  });

  it('goes with its account', async () => {
    const juliet = await host.online('juliet');
    const romeo = await host.online('romeo');
    await juliet.ask(`<iq type='set'>${CARD}</iq>`);
    await host.host.accounts.delete('juliet');
    await host.host.accounts.create('juliet', 'another');
    assert.equal(conditionOf(await romeo.ask(`<iq type='get' to='juliet@example.org'>${ASK}</iq>`)), 'service-unavailable');
  });
});
