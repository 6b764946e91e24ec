import assert from 'node:assert/strict';
import { type as osType, release } from 'node:os';
import type { Element } from 'ltx';
import contactAddresses from '../../../modules/contact-addresses/index.ts';
import disco from '../../../modules/disco/index.ts';
import ping from '../../../modules/ping/index.ts';
import time, { writeOffset } from '../../../modules/time/index.ts';
import version from '../../../modules/version/index.ts';
import type { AnyModule } from '../../../src/module/module.ts';
import { conditionOf, infoOf, payloadOf } from '../../support/answers.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

// What answers with little more than one element: ping, time, version, contact-addresses.

const NS_INFO = 'http://jabber.org/protocol/disco#info';

let host: TestHost;

async function start(modules: readonly AnyModule[], options: Readonly<Record<string, unknown>> = {}) {
  host = await startHost(modules, { modules: options });
  return host.online('juliet', 'balcony');
}

describe('ping', () => {
  afterEach(() => host.stop());

  it('answers at the host and at the own account, with an empty result (XEP-0199 section 4.2)', async () => {
    const juliet = await start([ping]);
    for (const to of ['', "to='example.org'", "to='juliet@example.org'"]) {
      const pong = await juliet.ask(`<iq type='get' ${to}><ping xmlns='urn:xmpp:ping'/></iq>`);
      assert.equal(pong.attrs['type'], 'result');
      assert.deepEqual(pong.children, []);
    }
  });

  it('does not answer for other accounts, so that nobody learns which there are', async () => {
    const juliet = await start([ping]);
    await host.online('romeo');
    for (const to of ['romeo@example.org', 'nobody@example.org', 'romeo@example.org/gone']) {
      assert.equal(
        conditionOf(await juliet.ask(`<iq type='get' to='${to}'><ping xmlns='urn:xmpp:ping'/></iq>`)),
        'service-unavailable',
      );
    }
  });

  it('reaches other clients, who answer for themselves (XEP-0199 section 4.4)', async () => {
    const juliet = await start([ping]);
    const romeo = await host.online('romeo', 'orchard');
    romeo.send("<iq type='get' id='e2e1' to='juliet@example.org/balcony'><ping xmlns='urn:xmpp:ping'/></iq>");
    assert((await juliet.receive('iq')).getChild('ping', 'urn:xmpp:ping'));
  });

  it('cannot be set', async () => {
    const juliet = await start([ping]);
    assert.equal(conditionOf(await juliet.ask("<iq type='set'><ping xmlns='urn:xmpp:ping'/></iq>")), 'service-unavailable');
  });
});

describe('time', () => {
  it('says what time it is, in UTC and with the offset (XEP-0202 section 2)', async () => {
    const juliet = await start([time]);
    const before = Date.now();
    const answer = payloadOf(await juliet.ask("<iq type='get' to='example.org'><time xmlns='urn:xmpp:time'/></iq>"));
    const utc = answer.getChildText('utc') ?? '';
    assert.match(utc, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
    assert(Date.parse(utc) >= before && Date.parse(utc) <= Date.now());
    assert.match(answer.getChildText('tzo') ?? '', /^[+-]\d\d:\d\d$/);
    await host.stop();
  });

  for (const [minutes, text] of [
    [0, '+00:00'],
    [60, '+01:00'],
    [-360, '-06:00'],
    [330, '+05:30'],
    [-210, '-03:30'],
    [845, '+14:05'],
  ] as const) {
    it(`writes ${minutes} minutes as ${text} (XEP-0082 section 3.2)`, () => assert.equal(writeOffset(minutes), text));
  }
});

describe('version', () => {
  afterEach(() => host.stop());

  const question = "<iq type='get' to='example.org'><query xmlns='jabber:iq:version'/></iq>";

  it('says name and version, and nothing about the system (XEP-0092 section 5)', async () => {
    const juliet = await start([version, disco]);
    const answer = payloadOf(await juliet.ask(question));
    assert.equal(answer.getChildText('name'), 'Parlance');
    assert.match(answer.getChildText('version') ?? '', /^\d+\.\d+\.\d+/);
    assert.equal(answer.getChild('os'), undefined);
    assert.deepEqual([...(await readForm(juliet)).keys()], ['FORM_TYPE', 'software', 'software_version']);
  });

  it('says the system where that is wanted', async () => {
    const juliet = await start([version, disco], { version: { showOs: true } });
    assert.equal(payloadOf(await juliet.ask(question)).getChildText('os'), `${osType()} ${release()}`);
    assert.equal((await readForm(juliet)).get('os_version'), release());
  });

  it('hides the version where that is wanted', async () => {
    const juliet = await start([version, disco], { version: { showVersion: false } });
    assert.equal(payloadOf(await juliet.ask(question)).getChildText('version'), 'hidden');
    assert.deepEqual([...(await readForm(juliet)).keys()], ['FORM_TYPE', 'software']);
  });
});

describe('contact-addresses', () => {
  it('shows the configured addresses as a form (XEP-0157 section 3)', async () => {
    const abuse = ['mailto:abuse@example.org', 'xmpp:abuse@example.org'];
    const juliet = await start([contactAddresses, disco], {
      'contact-addresses': { abuse, status: ['https://status.example.org'] },
    });
    const form = (await discover(juliet)).getChild('x', 'jabber:x:data')!;
    const fields = form
      .getChildren('field')
      .map((field) => [field.attrs['var'], field.getChildren('value').map((value) => value.getText())]);
    assert.deepEqual(fields, [
      ['FORM_TYPE', ['http://jabber.org/network/serverinfo']],
      ['abuse-addresses', abuse],
      ['status-addresses', ['https://status.example.org']],
    ]);
    await host.stop();
  });

  it('shows nothing when there is none', async () => {
    const juliet = await start([contactAddresses, disco]);
    assert.equal((await discover(juliet)).getChild('x', 'jabber:x:data'), undefined);
    await host.stop();
  });

  for (const address of ['abuse@example.org', '', 'mailto:', 'mailto:a b@example.org', 'xmpp:<script>']) {
    it(`does not take ${JSON.stringify(address)} for an address`, () => {
      assert.throws(
        () => contactAddresses.config.parse({ abuse: [address] }, 'modules.contact-addresses'),
        /a URI such as mailto/,
      );
    });
  }
});

type Juliet = Awaited<ReturnType<typeof start>>;

async function discover(juliet: Juliet): Promise<Element> {
  const query = payloadOf(await juliet.ask(`<iq type='get' to='example.org'><query xmlns='${NS_INFO}'/></iq>`));
  assert(infoOf(query).identities.includes('server/im'));
  return query;
}

async function readForm(juliet: Juliet): Promise<ReadonlyMap<string, string>> {
  const form = (await discover(juliet)).getChild('x', 'jabber:x:data')!;
  return new Map(form.getChildren('field').map((field) => [String(field.attrs['var']), field.getChildText('value') ?? '']));
}
