import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import { kindsOf, NS_FOUR } from '../../../modules/vcard4/kinds.ts';
import { Merger } from '../../../modules/vcard4/merge.ts';
import { readElement, writeElement } from '../../../src/index.ts';

const merger = new Merger(kindsOf(1024));
const temp = (inner: string) => readElement(`<vCard xmlns='vcard-temp'>${inner}</vCard>`);
const four = (inner: string) => readElement(`<vcard xmlns='${NS_FOUR}'>${inner}</vcard>`);
/** What is in a vCard, as XML. */
const inner = (card: Element | undefined) =>
  card && /^<[^>]*>(.*)<\/[^>]*>$/s.exec(writeElement(card))?.[1]?.replaceAll('"', "'");
const toFour = (card: string, before = '') => inner(merger.toFour(before ? four(before) : undefined, temp(card)));
const toTemp = (card: string, before = '') => inner(merger.toTemp(before ? temp(before) : undefined, four(card)));

const FN = '<FN>J</FN>';
const FN4 = '<fn><text>J</text></fn>';

/** What is the same in both forms. */
const PAIRS: readonly (readonly [temp: string, four: string])[] = [
  ['<N><FAMILY>Saint-Andre</FAMILY><GIVEN>Peter</GIVEN></N>', '<n><surname>Saint-Andre</surname><given>Peter</given></n>'],
  [
    '<N><GIVEN>P</GIVEN><MIDDLE>Q</MIDDLE><PREFIX>Dr</PREFIX><SUFFIX>Jr</SUFFIX></N>',
    '<n><given>P</given><additional>Q</additional><prefix>Dr</prefix><suffix>Jr</suffix></n>',
  ],
  [
    '<NICKNAME>stpeter</NICKNAME><NICKNAME>psa</NICKNAME>',
    '<nickname><text>stpeter</text></nickname><nickname><text>psa</text></nickname>',
  ],
  ['<BDAY>1966-08-06</BDAY>', '<bday><date>1966-08-06</date></bday>'],
  ['<BDAY>1966-08-06T10:00:00Z</BDAY>', '<bday><date-time>1966-08-06T10:00:00Z</date-time></bday>'],
  ['<BDAY>in summer</BDAY>', '<bday><text>in summer</text></bday>'],
  [
    '<ADR><WORK/><PREF/><EXTADD>Suite 600</EXTADD><STREET>1899 Wynkoop Street</STREET><PCODE>80202</PCODE><CTRY>USA</CTRY></ADR>',
    '<adr><parameters><type><text>work</text></type><pref><integer>1</integer></pref></parameters><ext>Suite 600</ext><street>1899 Wynkoop Street</street><code>80202</code><country>USA</country></adr>',
  ],
  [
    '<TEL><WORK/><FAX/><NUMBER>+1-303-308-3219</NUMBER></TEL>',
    '<tel><parameters><type><text>work</text><text>fax</text></type></parameters><uri>tel:+1-303-308-3219</uri></tel>',
  ],
  ['<TEL><NUMBER>ask the nurse</NUMBER></TEL>', '<tel><text>ask the nurse</text></tel>'],
  [
    '<EMAIL><HOME/><USERID>stpeter@jabber.org</USERID></EMAIL>',
    '<email><parameters><type><text>home</text></type></parameters><text>stpeter@jabber.org</text></email>',
  ],
  ['<JABBERID>stpeter@jabber.org</JABBERID>', '<impp><uri>xmpp:stpeter@jabber.org</uri></impp>'],
  ['<JABBERID>ü@jabber.org/a b?%</JABBERID>', '<impp><uri>xmpp:%C3%BC@jabber.org/a%20b%3F%25</uri></impp>'],
  ['<TZ>America/Denver</TZ>', '<tz><text>America/Denver</text></tz>'],
  ['<TZ>-07:00</TZ>', '<tz><utc-offset>-07:00</utc-offset></tz>'],
  ['<GEO><LAT>39.59</LAT><LON>-105.01</LON></GEO>', '<geo><uri>geo:39.59,-105.01</uri></geo>'],
  [
    '<TITLE>Executive Director</TITLE><ROLE>Patron Saint</ROLE>',
    '<title><text>Executive Director</text></title><role><text>Patron Saint</text></role>',
  ],
  ['<LOGO><TYPE>image/jpeg</TYPE><BINVAL>aGk=</BINVAL></LOGO>', '<logo><uri>data:image/jpeg;base64,aGk=</uri></logo>'],
  ['<ORG><ORGNAME>XSF</ORGNAME><ORGUNIT>Board</ORGUNIT></ORG>', '<org><text>XSF</text><text>Board</text></org>'],
  ['<CATEGORIES><KEYWORD>a</KEYWORD><KEYWORD>b</KEYWORD></CATEGORIES>', '<categories><text>a</text><text>b</text></categories>'],
  ['<DESC>More &amp; more</DESC>', '<note><text>More &amp; more</text></note>'],
  ['<REV>2012-09-12T10:00:00Z</REV>', '<rev><timestamp>2012-09-12T10:00:00Z</timestamp></rev>'],
  [
    '<UID>urn:uuid:4fbe8971-0bc3-424c-9c26-36c3e1eff6b1</UID>',
    '<uid><uri>urn:uuid:4fbe8971-0bc3-424c-9c26-36c3e1eff6b1</uri></uid>',
  ],
  ['<URL>https://stpeter.im/</URL>', '<url><uri>https://stpeter.im/</uri></url>'],
  ['<KEY><CRED>-----BEGIN</CRED></KEY>', '<key><text>-----BEGIN</text></key>'],
  ['<PHOTO><EXTVAL>http://stpeter.im/x.jpg</EXTVAL></PHOTO>', '<photo><uri>http://stpeter.im/x.jpg</uri></photo>'],
  ['<PHOTO><TYPE>image/png</TYPE><BINVAL>aGk=</BINVAL></PHOTO>', '<photo><uri>data:image/png;base64,aGk=</uri></photo>'],
];

describe('vcard4: the two forms', () => {
  for (const [older, newer] of PAIRS) {
    it(`say the same: ${older.slice(0, 70)}`, () => {
      assert.equal(toFour(FN + older), FN4 + newer);
      assert.equal(toTemp(FN4 + newer), FN + older);
      // And nothing is to be done once they do.
      const [one, other] = [four(FN4 + newer), temp(FN + older)];
      assert.equal(merger.toFour(one, other), one);
      assert.equal(merger.toTemp(other, one), other);
    });
  }

  it('are read as people write them', () => {
    assert.equal(toTemp(`${FN4}<bday><date>19660806</date></bday>`), `${FN}<BDAY>1966-08-06</BDAY>`);
    assert.equal(toFour(`${FN}<EMAIL>j@example.org</EMAIL>`), `${FN4}<email><text>j@example.org</text></email>`);
    assert.equal(toFour(`${FN}<NOTE> x\n</NOTE>`), `${FN4}<note><text>x</text></note>`);
    assert.equal(toTemp(`${FN4}<impp><uri>xmpp:a%40b</uri></impp>`), `${FN}<JABBERID>a@b</JABBERID>`);
    assert.equal(toTemp(`${FN4}<impp><uri>xmpp:%zz</uri></impp>`), `${FN}<JABBERID>%zz</JABBERID>`);
    assert.equal(toTemp(`${FN4}<tel><uri>TEL:+1</uri></tel>`), `${FN}<TEL><NUMBER>+1</NUMBER></TEL>`);
  });

  it('keep what only one of them can say', () => {
    const gender =
      '<gender><sex>F</sex></gender><impp><uri>sip:x@example.org</uri></impp><lang><language-tag>en</language-tag></lang>';
    assert.equal(
      toFour(`${FN}<TITLE>T</TITLE>`, `${gender}<title><text>old</text></title>`),
      `${gender}${FN4}<title><text>T</text></title>`,
    );
    const label = "<LABEL><LINE>x</LINE></LABEL><MAILER>m</MAILER><TEL><HOME/><NUMBER/></TEL><x xmlns='urn:x'/>";
    assert.equal(toTemp(FN4, `${FN}${label}<ROLE>gone</ROLE>`), `${FN}${label}`);
  });

  it('keep how one of them says it in more detail', () => {
    const tel =
      '<tel><parameters><type><text>work</text><text>main-number</text></type><pref><integer>7</integer></pref></parameters><uri>tel:+1</uri></tel>';
    const same = four(FN4 + tel);
    assert.equal(merger.toFour(same, temp(`${FN}<TEL><WORK/><NUMBER>+1</NUMBER></TEL>`)), same);
    const email =
      '<EMAIL><INTERNET/><WORK/><USERID>j@example.org</USERID></EMAIL><KEY><TYPE>pgp</TYPE><CRED>k</CRED></KEY><NOTE>n</NOTE>';
    const older = temp(FN + email);
    assert.equal(merger.toTemp(older, merger.toFour(undefined, older)), older);
    const nicks = four('<fn><text>J</text></fn><nickname><text>a</text><text>b</text></nickname>');
    assert.equal(merger.toFour(nicks, merger.toTemp(undefined, nicks)), nicks);
  });

  it('have a name that is shown, in vCard4', () => {
    assert.equal(
      toFour('<N><GIVEN>Juliet</GIVEN><FAMILY>Capulet</FAMILY></N>'),
      '<fn><text>Juliet Capulet</text></fn><n><surname>Capulet</surname><given>Juliet</given></n>',
    );
    assert.equal(toFour('<NICKNAME>J</NICKNAME>'), `${FN4}<nickname><text>J</text></nickname>`);
    const made = merger.toFour(undefined, temp('<NICKNAME>J</NICKNAME>'));
    assert.equal(merger.toFour(made, temp('<NICKNAME>J</NICKNAME>')), made);
  });

  it('are gone together, but for what the other could not say', () => {
    assert.equal(merger.toFour(four(FN4), undefined), undefined);
    assert.equal(merger.toTemp(temp(FN), undefined), undefined);
    assert.equal(
      inner(merger.toFour(four(`${FN4}<lang><language-tag>en</language-tag></lang>`), undefined)),
      '<lang><language-tag>en</language-tag></lang>',
    );
    assert.equal(merger.toTemp(undefined, undefined), undefined);
  });
});

describe('vcard4: pictures', () => {
  const big = 'A'.repeat(2000);
  const PHOTO = (base64: string) => `<PHOTO><TYPE>image/png</TYPE><BINVAL>${base64}</BINVAL></PHOTO>`;
  const photo = (base64: string) => `<photo><uri>data:image/png;base64,${base64}</uri></photo>`;

  it('are in both only when they are small', () => {
    assert.equal(toFour(FN + PHOTO(big)), FN4);
    assert.equal(toTemp(FN4 + photo(big)), FN);
    assert.equal(toFour(FN + PHOTO(big), FN4 + photo('aGk=')), FN4);
  });

  it('alone are no vCard4', () => assert.equal(toFour(PHOTO('aGk=')), undefined));

  it('are not missed in vCard4, which many clients write without them', () => {
    assert.equal(toTemp(FN4, FN + PHOTO('aGk=')), FN + PHOTO('aGk='));
    assert.equal(toTemp(`${FN4}<photo><uri>http://example.org/x</uri></photo>`, FN + PHOTO(big)), FN + PHOTO(big));
  });

  it('that are given take the place of all others', () => {
    assert.equal(toTemp(FN4 + photo('aGk='), FN + PHOTO(big)), FN + PHOTO('aGk='));
    assert.equal(toTemp(FN4 + photo('aGk='), PHOTO('eA==') + FN), FN + PHOTO('aGk='));
  });

  it('that are none are left where they are', () => {
    for (const uri of [
      '',
      'data:',
      'data:image/png,x',
      'data:image/png;base64,',
      'data:image/png;base64,%%',
      'javascript:alert(1)',
      'cid:x',
      `data:image/png;base64,${'A'.repeat(1e5)}`,
    ]) {
      assert.equal(toTemp(`${FN4}<photo><uri>${uri}</uri></photo>`), FN, uri);
    }
    for (const rubbish of [
      '<PHOTO/>',
      '<PHOTO><BINVAL>%</BINVAL></PHOTO>',
      '<PHOTO><EXTVAL>javascript:x</EXTVAL></PHOTO>',
      '<GEO><LAT>x</LAT></GEO>',
      '<FN/>',
      '<N/>',
      '<ORG/>',
      '<TEL/>',
    ]) {
      assert.equal(toFour(FN + rubbish), FN4, rubbish);
    }
  });
});
