import assert from 'node:assert/strict';
import fc from 'fast-check';
import { StanzaError } from '../../../src/stanza/errors.ts';
import { NS_RSM, readRsm, writeRsm } from '../../../src/stanza/rsm.ts';
import { xml } from '../../../src/xml/element.ts';
import { readElement } from '../../../src/xml/text.ts';

const nothing = { max: undefined, before: undefined, after: undefined, index: undefined };
const read = (inner: string) => readRsm(readElement(`<query xmlns='urn:q'><set xmlns='${NS_RSM}'>${inner}</set></query>`));

describe('result set management (XEP-0059)', () => {
  for (const [what, inner, wanted] of [
    ['a limit', '<max>10</max>', { max: 10 }],
    ['a limit of nothing', '<max>0</max>', { max: 0 }],
    ['the largest limit', '<max>2147483647</max>', { max: 2147483647 }],
    ['a limit in white space', '<max>\n 10 </max>', { max: 10 }],
    ['a limit with more digits than it needs', '<max>+010</max>', { max: 10 }],
    ['the page after', '<max>10</max><after>a</after>', { max: 10, after: 'a' }],
    ['the page before', '<before>a</before>', { before: 'a' }],
    ['the last page', '<before/>', { before: '' }],
    ['a page after nothing', '<after/>', {}],
    ['a range', '<after>a</after><before>b</before>', { after: 'a', before: 'b' }],
    ['an id with white space, which is its own', '<after> a </after>', { after: ' a ' }],
    ['a page by its place', '<index>371</index>', { index: 371 }],
    ['nothing', '', {}],
    ['elements of another namespace', "<max xmlns='urn:x'>10</max><before xmlns='urn:x'/>", {}],
  ] as const) {
    it(`is read: ${what}`, () => assert.deepEqual(read(inner), { ...nothing, ...wanted }));
  }

  it('is not read where there is none', () => {
    assert.equal(readRsm(readElement("<query xmlns='urn:q'/>")), undefined);
    assert.equal(readRsm(readElement("<query xmlns='urn:q'><set><max>1</max></set></query>")), undefined);
  });

  for (const text of [
    '',
    ' ',
    'ten',
    '-1',
    '1.5',
    '1e3',
    '0x10',
    '2147483648',
    '9'.repeat(500),
    '１０',
    '1 0',
    'NaN',
    'Infinity',
  ]) {
    for (const name of ['max', 'index']) {
      it(`is refused with a ${name} of ${JSON.stringify(text.slice(0, 20))}`, () => {
        assert.throws(
          () => read(`<${name}>${text}</${name}>`),
          (error: unknown) => error instanceof StanzaError && error.condition === 'bad-request',
        );
      });
    }
  }

  it('is written', () => {
    assert.equal(
      String(writeRsm({ first: 'a', last: 'b', count: 3 })),
      `<set xmlns="${NS_RSM}"><first>a</first><last>b</last><count>3</count></set>`,
    );
    assert.equal(String(writeRsm({})), `<set xmlns="${NS_RSM}"/>`);
    assert.equal(String(writeRsm({ count: 0 })), `<set xmlns="${NS_RSM}"><count>0</count></set>`);
  });

  it('gives numbers in their bounds or is refused, whatever it is', () => {
    const name = fc.constantFrom('max', 'before', 'after', 'index', 'count', 'constructor');
    const text = fc.oneof(fc.string(), fc.integer().map(String), fc.double().map(String));
    fc.assert(
      fc.property(fc.array(fc.tuple(name, text), { maxLength: 6 }), (children) => {
        const set = xml('set', NS_RSM, ...children.map(([child, value]) => xml(child, {}, value)));
        try {
          const request = readRsm(xml('query', 'urn:q', set))!;
          for (const value of [request.max, request.index]) {
            assert(value === undefined || (Number.isInteger(value) && value >= 0 && value < 2 ** 31));
          }
          assert.notEqual(request.after, '');
        } catch (error) {
          assert(error instanceof StanzaError, String(error));
        }
      }),
    );
  });
});
