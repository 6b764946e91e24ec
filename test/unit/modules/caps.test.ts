import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Element } from 'ltx';
import { hashLegacy, hashModern } from '../../../modules/caps/hash.ts';
import caps from '../../../modules/caps/index.ts';
import disco, { type DiscoInfo } from '../../../modules/disco/index.ts';
import ping from '../../../modules/ping/index.ts';
import version from '../../../modules/version/index.ts';
import { bind } from '../../../src/c2s/bind.ts';
import { type Element as Tree, writeForm, xml } from '../../../src/index.ts';
import { conditionOf, payloadOf } from '../../support/answers.ts';
import { read } from '../../support/fake-transport.ts';
import { Probe } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const NS_INFO = 'http://jabber.org/protocol/disco#info';
const NS_LEGACY = 'http://jabber.org/protocol/caps';
const NS = 'urn:xmpp:caps';

const MODULES = [caps, disco, version];

describe('caps', () => {
  it('announces a hash once the client has logged in (XEP-0115 section 6.3), and none before', async () => {
    const host = await startHost(MODULES);
    const { stream, transport } = host.connect();
    assert.equal(findCaps(transport.sent), undefined);
    stream.authenticate('juliet');
    await stream.sendFeatures();
    const found = findCaps(transport.sent)!;
    assert.equal(found.legacy.attrs['hash'], 'sha-1');
    assert.match(found.legacy.attrs['node'], /^urn:uuid:/);
    assert.deepEqual(
      found.modern.getChildren('hash', 'urn:xmpp:hashes:2').map(({ attrs }) => attrs['algo']),
      ['sha-256', 'sha3-256'],
    );
    await host.stop();
  });

  it('announces what a client computes from the answer to disco#info', async () => {
    const host = await startHost(MODULES);
    const { probe, found } = await login(host);
    const info = readInfo(payloadOf(await probe.ask(`<iq type='get' to='example.org'><query xmlns='${NS_INFO}'/></iq>`)));
    assert.equal(found.legacy.attrs['ver'], hashLegacy(info));
    assert.equal(found.modern.getChildText('hash'), hashModern(info).get('sha-256'));
    await host.stop();
  });

  it('answers for the nodes it has announced with the same as without a node', async () => {
    const host = await startHost(MODULES);
    const { probe, found } = await login(host);
    const plain = payloadOf(await probe.ask(`<iq type='get' to='example.org'><query xmlns='${NS_INFO}'/></iq>`));
    for (const node of nodesOf(found)) {
      const query = payloadOf(
        await probe.ask(xml('iq', { type: 'get', to: 'example.org' }, xml('query', { xmlns: NS_INFO, node }))),
      );
      assert.equal(query.attrs['node'], node);
      assert.deepEqual(query.getChildElements().map(String), plain.getChildElements().map(String));
    }
    await host.stop();
  });

  it('does not know hashes it has not announced, nor accounts that have any', async () => {
    const host = await startHost(MODULES);
    const { probe, found } = await login(host);
    const [known] = nodesOf(found);
    for (const [to, node] of [
      ['example.org', `${known}x`],
      ['example.org', `${NS}#sha-256.`],
      ['juliet@example.org', known],
    ]) {
      const reply = await probe.ask(xml('iq', { type: 'get', to }, xml('query', { xmlns: NS_INFO, node })));
      assert.equal(conditionOf(reply), 'item-not-found');
    }
    await host.stop();
  });

  it('announces something else when a module is added, and still answers for what it announced before (XEP-0390 section 6.1)', async () => {
    const host = await startHost(MODULES);
    const before = await login(host);
    const all = [...MODULES, ping].map((module) => ({ module, config: module.config.parse({}, 'x') }));
    await host.modules.apply(all);
    const after = await login(host, 'romeo');
    assert.notEqual(after.found.legacy.attrs['ver'], before.found.legacy.attrs['ver']);
    const old = payloadOf(
      await before.probe.ask(
        xml('iq', { type: 'get', to: 'example.org' }, xml('query', { xmlns: NS_INFO, node: nodesOf(before.found)[0] })),
      ),
    );
    assert.equal(hashLegacy(readInfo(old)), before.found.legacy.attrs['ver']);
    await host.stop();
  });
});

describe('caps: the hash', () => {
  const disco4 = [
    'http://jabber.org/protocol/caps',
    NS_INFO,
    'http://jabber.org/protocol/disco#items',
    'http://jabber.org/protocol/muc',
  ];

  it('is that of XEP-0115 section 5.2', () => {
    const info = {
      identities: [{ category: 'client', type: 'pc', name: 'Exodus 0.9.1' }],
      features: [...disco4].reverse(),
      forms: [],
    };
    assert.equal(hashLegacy(info), 'QgayPKawpkPSDYmwT/WM94uAlu0=');
  });

  it('is that of XEP-0115 section 5.3, with languages and a form', () => {
    const info: DiscoInfo = {
      identities: [
        { category: 'client', type: 'pc', name: 'Psi 0.11', lang: 'en' },
        { category: 'client', type: 'pc', name: 'Ψ 0.11', lang: 'el' },
      ],
      features: disco4,
      forms: [
        form('urn:xmpp:dataforms:softwareinfo', {
          software_version: '0.11',
          os: 'Mac',
          ip_version: ['ipv6', 'ipv4'],
          os_version: '10.5.1',
          software: 'Psi',
        }),
      ],
    };
    assert.equal(hashLegacy(info), 'q07IKJEyjvHSyhy//CH0CxmKi8w=');
  });

  it('is that of XEP-0390 section 4.5', () => {
    const info = { identities: [{ category: 'client', type: 'mobile', name: 'BombusMod' }], features: BOMBUS, forms: [] };
    assert.deepEqual(
      hashModern(info),
      new Map([
        ['sha-256', 'kzBZbkqJ3ADrj7v08reD1qcWUwNGHaidNUgD7nHpiw8='],
        ['sha3-256', '79mdYAfU9rEdTOcWDO7UEAt6E56SUzk/g6TnqUeuD9Q='],
      ]),
    );
  });

  it('is that of XEP-0390 section 4.6, with languages and a form', () => {
    const info = {
      identities: [
        { category: 'client', type: 'pc', name: 'Tkabber', lang: 'en' },
        { category: 'client', type: 'pc', name: 'Ткаббер', lang: 'ru' },
      ],
      features: TKABBER,
      forms: [
        form('urn:xmpp:dataforms:softwareinfo', {
          software: 'Tkabber',
          software_version: '0.11.1-svn-20111216-mod (Tcl/Tk 8.6b2)',
          os: 'Windows',
          os_version: 'XP',
        }),
      ],
    };
    assert.deepEqual(
      hashModern(info),
      new Map([
        ['sha-256', 'u79ZroNJbdSWhdSp311mddz44oHHPsEBntQ5b1jqBSY='],
        ['sha3-256', 'XpUJzLAc93258sMECZ3FJpebkzuyNXDzRNwQog8eycg='],
      ]),
    );
  });

  it('sorts by bytes and not by UTF-16 units', () => {
    const one = { identities: [], features: ['\u{1f600}', '\uff5e'], forms: [] };
    const other = { identities: [], features: ['\uff5e', '\u{1f600}'], forms: [] };
    assert.equal(hashLegacy(one), hashLegacy(other));
    assert.equal(hashLegacy(one), createHash('sha1').update('\uff5e<\u{1f600}<').digest('base64'));
  });
});

interface Found {
  readonly legacy: Element;
  readonly modern: Element;
}

function findCaps(sent: readonly string[]): Found | undefined {
  const features = sent
    .map(read)
    .filter(({ name }) => name === 'stream:features')
    .at(-1);
  const legacy = features?.getChild('c', NS_LEGACY);
  const modern = features?.getChild('c', NS);
  return legacy && modern ? { legacy, modern } : undefined;
}

async function login(host: TestHost, username = 'juliet'): Promise<{ probe: Probe; found: Found }> {
  const { stream, transport } = host.connect();
  await host.host.accounts.create(username, 'secret');
  stream.authenticate(username);
  await stream.sendFeatures();
  const found = findCaps(transport.sent);
  assert(found);
  return { probe: new Probe(await bind(stream, undefined), transport), found };
}

function nodesOf({ legacy, modern }: Found): string[] {
  const hashes = modern.getChildren('hash').map((hash) => `${NS}#${hash.attrs['algo']}.${hash.getText()}`);
  return [`${legacy.attrs['node']}#${legacy.attrs['ver']}`, ...hashes];
}

/** What a client reads out of an answer. */
function readInfo(query: Element): DiscoInfo {
  return {
    identities: query.getChildren('identity').map(({ attrs }) => ({
      category: attrs['category'],
      type: attrs['type'],
      name: attrs['name'],
      lang: attrs['xml:lang'],
    })),
    features: query.getChildren('feature').map(({ attrs }) => attrs['var']),
    forms: query.getChildren('x', 'jabber:x:data'),
  };
}

function form(type: string, values: Readonly<Record<string, string | readonly string[]>>): Tree {
  return writeForm(
    'result',
    type,
    Object.entries(values).map(([name, value]) => ({ name, values: [value].flat() })),
  );
}

const BOMBUS = `http://jabber.org/protocol/si http://jabber.org/protocol/bytestreams http://jabber.org/protocol/chatstates
  http://jabber.org/protocol/disco#info http://jabber.org/protocol/disco#items urn:xmpp:ping jabber:iq:time jabber:iq:privacy
  jabber:iq:version http://jabber.org/protocol/rosterx urn:xmpp:time jabber:x:oob http://jabber.org/protocol/ibb
  http://jabber.org/protocol/si/profile/file-transfer urn:xmpp:receipts jabber:iq:roster jabber:iq:last`.split(/\s+/);

const TKABBER = `games:board http://jabber.org/protocol/activity http://jabber.org/protocol/activity+notify
  http://jabber.org/protocol/bytestreams http://jabber.org/protocol/chatstates http://jabber.org/protocol/commands
  http://jabber.org/protocol/disco#info http://jabber.org/protocol/disco#items http://jabber.org/protocol/evil
  http://jabber.org/protocol/feature-neg http://jabber.org/protocol/geoloc http://jabber.org/protocol/geoloc+notify
  http://jabber.org/protocol/ibb http://jabber.org/protocol/iqibb http://jabber.org/protocol/mood
  http://jabber.org/protocol/mood+notify http://jabber.org/protocol/rosterx http://jabber.org/protocol/si
  http://jabber.org/protocol/si/profile/file-transfer http://jabber.org/protocol/tune http://www.facebook.com/xmpp/messages
  http://www.xmpp.org/extensions/xep-0084.html#ns-metadata+notify jabber:iq:avatar jabber:iq:browse jabber:iq:dtcp jabber:iq:filexfer
  jabber:iq:ibb jabber:iq:inband jabber:iq:jidlink jabber:iq:last jabber:iq:oob jabber:iq:privacy jabber:iq:roster jabber:iq:time
  jabber:iq:version jabber:x:data jabber:x:event jabber:x:oob urn:xmpp:avatar:metadata+notify urn:xmpp:ping urn:xmpp:receipts
  urn:xmpp:time`.split(/\s+/);
