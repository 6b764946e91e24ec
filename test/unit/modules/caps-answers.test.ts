import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { type Announcement, readAnnouncement } from '../../../modules/caps/announcement.ts';
import { fits, NS_INFO, readFeatures } from '../../../modules/caps/answer.ts';
import { FeatureSet } from '../../../modules/caps/features.ts';
import { hashLegacy } from '../../../modules/caps/hash.ts';
import { Verified } from '../../../modules/caps/verified.ts';
import { type Element, readElement, readStanza } from '../../../src/index.ts';
import { info, kindOf, legacy, modern } from '../../support/caps-scene.ts';
import { makeRandom } from '../../support/random.ts';

const sha1 = (ver: string): Announcement => ({ isModern: false, hash: 'sha-1', ver, node: 'n', ext: '' });
const sha256 = (ver: string): Announcement => ({ isModern: true, hash: 'sha-256', ver, node: '', ext: '' });
const sha3 = (ver: string): Announcement => ({ isModern: true, hash: 'sha3-256', ver, node: '', ext: '' });

const hashOf = (text: string) => createHash('sha1').update(text).digest('base64');
const features = (names: string) =>
  names
    .split(/\s+/)
    .map((name) => `<feature var='${name}'/>`)
    .join('');
const query = (inner: string, attrs = '') => readElement(`<query xmlns='${NS_INFO}'${attrs}>${inner}</query>`);
const form = (fields: string, type = "<field var='FORM_TYPE' type='hidden'><value>urn:x</value></field>") =>
  `<x xmlns='jabber:x:data' type='result'>${type}${fields}</x>`;

describe('caps: answers that fit their hash', () => {
  const common = features(
    `http://jabber.org/protocol/caps ${NS_INFO} http://jabber.org/protocol/disco#items http://jabber.org/protocol/muc`,
  );

  it('of XEP-0115 section 5.2', () => {
    const simple = query(`<identity category='client' name='Exodus 0.9.1' type='pc'/>${common}`);
    assert(fits(simple, sha1('QgayPKawpkPSDYmwT/WM94uAlu0='), undefined));
    // The language of the stream is in the hash of some and not of others.
    assert(fits(simple, sha1('QgayPKawpkPSDYmwT/WM94uAlu0='), 'en'));
    assert(!fits(simple, sha1('QgayPKawpkPSDYmwT/WM94uAlu1='), undefined));
    assert(!fits(simple, sha256('QgayPKawpkPSDYmwT/WM94uAlu0='), undefined));
  });

  it('of XEP-0115 section 5.3', () => {
    const complex = query(
      "<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>" +
        `<identity xml:lang='el' category='client' name='Ψ 0.11' type='pc'/>${common}<x xmlns='jabber:x:data' type='result'>` +
        "<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>" +
        "<field var='ip_version' type='text-multi'><value>ipv4</value><value>ipv6</value></field><field var='os'><value>Mac</value></field>" +
        "<field var='os_version'><value>10.5.1</value></field><field var='software'><value>Psi</value></field>" +
        "<field var='software_version'><value>0.11</value></field></x>",
    );
    assert(fits(complex, sha1('q07IKJEyjvHSyhy//CH0CxmKi8w='), undefined));
  });

  it('of XEP-0390, simple', () => {
    const bombus = query(
      `<identity category='client' name='BombusMod' type='mobile'/>${features(
        `http://jabber.org/protocol/si http://jabber.org/protocol/bytestreams http://jabber.org/protocol/chatstates ${NS_INFO} ` +
          'http://jabber.org/protocol/disco#items urn:xmpp:ping jabber:iq:time jabber:iq:privacy jabber:iq:version ' +
          'http://jabber.org/protocol/rosterx urn:xmpp:time jabber:x:oob http://jabber.org/protocol/ibb ' +
          'http://jabber.org/protocol/si/profile/file-transfer urn:xmpp:receipts jabber:iq:roster jabber:iq:last',
      )}`,
    );
    assert(fits(bombus, sha256('kzBZbkqJ3ADrj7v08reD1qcWUwNGHaidNUgD7nHpiw8='), 'en'));
    assert(fits(bombus, sha3('79mdYAfU9rEdTOcWDO7UEAt6E56SUzk/g6TnqUeuD9Q='), undefined));
    assert(!fits(bombus, sha3('kzBZbkqJ3ADrj7v08reD1qcWUwNGHaidNUgD7nHpiw8='), undefined));
    assert(!fits(bombus, { ...sha256('kzBZbkqJ3ADrj7v08reD1qcWUwNGHaidNUgD7nHpiw8='), hash: 'md5' }, undefined));
  });

  it('with a language that is inherited (XEP-0390 section 4.1)', () => {
    const payload = (lang: string) => `<identity category='client' type='pc' name='Test'${lang}/>${features(`${NS_INFO} urn:a`)}`;
    const written = { category: 'client', type: 'pc', name: 'Test', lang: 'de' };
    const ver = hashLegacy({ identities: [written], features: [NS_INFO, 'urn:a'], forms: [] });
    assert(fits(query(payload(" xml:lang='de'")), sha1(ver), undefined));
    assert(fits(query(payload(''), " xml:lang='de'"), sha1(ver), 'en'));
    assert(fits(query(payload('')), sha1(ver), 'de'));
    assert(!fits(query(payload('')), sha1(ver), 'en'));
  });

  const ONE = kindOf('urn:a', 'urn:last');
  const rows: readonly (readonly [name: string, more: string, legacyFits: boolean, modernFits: boolean])[] = [
    ['nothing else', '', true, true],
    // XEP-0115 section 5.4 ignores it, XEP-0390 section 4.1 refuses it.
    ['a form without a type', form("<field var='a'><value>1</value></field>", ''), true, false],
    ['a form whose type is shown', form('', "<field var='FORM_TYPE'><value>urn:x</value></field>"), true, false],
    ['another element', "<hint xmlns='urn:x'/>", true, false],
    ['a form with items', form('<item/>', ''), true, false],
    ['one feature more', "<feature var='urn:b'/>", false, false],
    ['a feature twice', "<feature var='urn:a'/>", false, false],
    ['a form that was not hashed', form("<field var='a'><value>1</value></field>"), false, false],
  ];
  for (const [name, more, legacyFits, modernFits] of rows) {
    it(`and ${name}`, () => {
      const payload = readElement(info(ONE, more));
      assert.deepEqual(
        [fits(payload, sha1(ONE.ver), undefined), fits(payload, sha256(ONE.sha256), undefined)],
        [legacyFits, modernFits],
      );
    });
  }
});

describe('caps: answers that could mean something else with the same hash (XEP-0115 section 9.3)', () => {
  const twoForms = form("<field var='a'><value>1</value></field>");
  const twoTypes = form(
    "<field var='a'><value>1</value></field>",
    "<field var='FORM_TYPE' type='hidden'><value>urn:x</value><value>urn:y</value></field>",
  );
  const start = `<identity category='client' type='pc' name='Test'/><feature var='${NS_INFO}'/>`;
  const rows: readonly (readonly [name: string, payload: string, text: string])[] = [
    ['a form in the place of a feature', form(''), 'urn:x<'],
    ['a field in the place of a feature', form("<field var='urn:z'/>"), 'urn:x<urn:z<'],
    [
      'a value in the place of a feature',
      form("<field var='vcard-temp'><value>urn:z</value></field>"),
      'urn:x<vcard-temp<urn:z<',
    ],
    ['a value in the place of what is wanted', form("<field var='a'><value>b+notify</value></field>"), 'urn:x<a<b+notify<'],
    ['a field without a value', form("<field var='vcard-temp'/>"), 'urn:x<vcard-temp<'],
    ['two in one', "<feature var='urn:x&lt;urn:y'/>", 'urn:x<urn:y<'],
    ['a value of more', form("<field var='a'><value>b&lt;c</value></field>"), 'urn:x<a<b<c<'],
    ['two forms of a type', twoForms + twoForms, 'urn:x<a<1<urn:x<a<1<'],
    ['a form of two types', twoTypes, 'urn:x<a<1<'],
  ];
  for (const [name, payload, text] of rows) {
    it(`with ${name}`, () => {
      // The hash is right: what is hashed is just this text.
      const ver = hashOf(`client/pc//Test<${NS_INFO}<${text}`);
      assert(!fits(query(start + payload), sha1(ver), undefined));
    });
  }

  const identities: readonly (readonly [attrs: string, text: string])[] = [
    ["category='http:' type='' xml:lang='a.example' name='b'", 'http://a.example/b<'],
    ["category='a/b' type='c' name='d'", 'a/b/c//d<'],
    ["category='a' type='b' xml:lang='c/d' name='e'", 'a/b/c/d/e<'],
    ["category='a' type='b' name='c&lt;d'", 'a/b//c<d<'],
  ];
  for (const [attrs, text] of identities) {
    it(`with an identity like ${attrs}`, () => {
      const ver = hashOf(`${text}${NS_INFO}<`);
      assert(!fits(query(`<identity ${attrs}/><feature var='${NS_INFO}'/>`), sha1(ver), undefined));
    });
  }
});

describe('caps: verified strings', () => {
  it('are forgotten when they were not used for the longest time', () => {
    const verified = new Verified({ strings: 3, weight: 1000 });
    const add = (ver: string) => verified.add(sha1(ver), new FeatureSet([ver]));
    for (const ver of ['a', 'b', 'c']) add(ver);
    assert.equal(verified.get(sha1('a'))?.features.has('a'), true);
    add('d');
    assert.deepEqual(
      ['a', 'b', 'c', 'd'].map((ver) => verified.get(sha1(ver)) !== undefined),
      [true, false, true, true],
    );
  });

  it('are bounded by their size, too', () => {
    const verified = new Verified({ strings: 1000, weight: 100 });
    for (let i = 0; i < 50; i++) verified.add(sha256(`v${i}`), new FeatureSet([`${i % 10}`.repeat(30)]));
    assert.equal(verified.size, 3);
    verified.add(sha256('big'), new FeatureSet(['x'.repeat(200)]));
    assert.equal(verified.size, 0);
  });

  it('are not those of another algorithm', () => {
    const verified = new Verified();
    verified.add(sha256('x'), new FeatureSet(['urn:a']));
    assert.equal(verified.get(sha3('x')), undefined);
    assert.equal(verified.get(sha1('x')), undefined);
    assert.equal(verified.get({ ...sha256('x'), isModern: false }), undefined);
    assert(verified.get(sha256('x')));
  });
});

describe('caps: whatever is written', () => {
  const random = makeRandom(115);
  const names = ['query', 'identity', 'feature', 'x', 'field', 'value', 'c', 'hash', 'presence', 'reported'];
  const spaces = [NS_INFO, 'jabber:x:data', 'urn:xmpp:caps', 'urn:xmpp:hashes:2', 'http://jabber.org/protocol/caps', ''];
  const keys = ['var', 'category', 'type', 'name', 'xml:lang', 'node', 'ver', 'hash', 'ext', 'algo'];
  const values = [
    '',
    'FORM_TYPE',
    'hidden',
    'sha-1',
    'sha-256',
    'a&lt;b',
    '&#x1F600;',
    'urn:x',
    'x+notify',
    ' ',
    '__proto__',
    'constructor',
  ];

  function element(depth: number, name = random.pick(names)): string {
    const attrs = new Map<string, string>();
    for (let i = random.below(4); i > 0; i--) attrs.set(random.pick(keys), random.pick(values));
    const text = [...attrs].map(([key, value]) => ` ${key}='${value}'`).join('');
    const inner = Array.from({ length: depth === 0 ? 0 : random.below(5) }, () =>
      random.below(4) === 0 ? random.pick(values) : element(depth - 1),
    );
    return `<${name} xmlns='${random.pick(spaces)}'${text}>${inner.join('')}</${name}>`;
  }

  it('an answer is read or refused, and never fits what it does not hash to', () => {
    let read = 0;
    for (let i = 0; i < 3000; i++) {
      const answered: Element = readElement(element(4, 'query').replace(/xmlns='[^']*'/, `xmlns='${NS_INFO}'`));
      const found = readFeatures(answered);
      if (found) read++;
      for (const interest of found?.interests ?? []) assert(found?.has(`${interest}+notify`));
      for (const announcement of [sha1('x'), sha256('x'), sha3('')]) assert.equal(fits(answered, announcement, 'en'), false);
    }
    assert(read > 1000);
  });

  it('presence announces something that makes sense, or nothing', () => {
    let found = 0;
    for (let i = 0; i < 3000; i++) {
      const inner = Array.from({ length: 1 + random.below(3) }, () => {
        const attrs = ['node', 'ver', 'hash', 'ext']
          .filter(() => random.below(3) > 0)
          .map((key) => ` ${key}='${random.pick(values)}'`);
        const hash = `<hash xmlns='urn:xmpp:hashes:2' algo='${random.pick(values)}'>${random.pick(values)}</hash>`;
        return `<c xmlns='${random.pick(spaces)}'${attrs.join('')}>${random.pick([hash, hash + hash, element(2)])}</c>`;
      });
      const presence = readStanza(`<presence xmlns='jabber:client'>${inner.join('')}</presence>`);
      const announcement = readAnnouncement(presence);
      if (!announcement) continue;
      found++;
      const { hash, ver, node, ext } = announcement;
      for (const each of [hash, ver, node, ext]) assert.equal(typeof each, 'string');
    }
    assert(found > 50);
    const best = readAnnouncement(
      readStanza(`<presence xmlns='jabber:client'>${legacy('v')}${modern({ 'sha-256': ' w ' })}</presence>`),
    );
    assert.deepEqual(best, sha256('w'));
  });
});
