import assert from 'node:assert/strict';
import { Directory, type Place, type Term } from '../../../modules/user-search/directory.ts';
import { saysEnough, simplify, wordsOf } from '../../../modules/user-search/words.ts';
import { readNames } from '../../../modules/vcard/names.ts';
import { readElement } from '../../../src/xml/text.ts';

const term = (prefix: string, ...places: readonly Place[]): Term => ({ places, prefix });

describe('user search: the directory', () => {
  it('finds by beginnings, in the places that are meant', () => {
    const directory = new Directory();
    directory.put('a', { first: 'Anna', last: 'Berg' });
    directory.put('b', { first: 'Berta', last: 'Annas', nick: 'Anni' });
    assert.deepEqual(directory.find([term('ann', 'first')]), ['a']);
    assert.deepEqual(directory.find([term('ann', 'last')]), ['b']);
    assert.deepEqual(directory.find([term('ann', 'first', 'last')]), ['a', 'b']);
    assert.deepEqual(directory.find([term('anna', 'first', 'last'), term('ber', 'last')]), ['a']);
    assert.deepEqual(directory.find([{ ...term('a', 'user'), isWhole: true }]), ['a']);
    assert.deepEqual(directory.find([]), []);
    assert.deepEqual(directory.find([term('', 'first', 'last')], 1), ['a'], 'no more than are wanted');
  });

  it('forgets what users were called before', () => {
    const directory = new Directory();
    directory.put('a', { first: 'Anna' });
    directory.put('a', { first: 'Berta' });
    assert.deepEqual(directory.find([term('anna', 'first')]), []);
    assert.deepEqual(directory.find([term('berta', 'first')]), ['a']);
    directory.remove('a');
    directory.remove('nobody');
    assert.deepEqual(directory.find([term('berta', 'first')]), []);
    assert.equal(directory.size, 0);
  });

  it('stays right however much it changes: what it finds is what looking at all would find', () => {
    const directory = new Directory();
    const model = new Map<string, string>();
    let seed = 7;
    const next = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below;
    const names = ['anna', 'annabel', 'ann', 'berta', 'bert', 'carl', 'carla', 'ärmel', 'anton', 'o'];
    for (let i = 0; i < 12_000; i++) {
      const username = `user${next(900)}`;
      if (next(4) === 0) {
        directory.remove(username);
        model.delete(username);
      } else {
        const name = `${names[next(names.length)]!}${next(5)}`;
        directory.put(username, { first: name });
        model.set(username, name);
      }
      if (i % 97 > 0) continue;
      const prefix = simplify(names[next(names.length)]!);
      const expected = [...model].flatMap(([user, name]) => (simplify(name).startsWith(prefix) ? [user] : [])).sort();
      assert.deepEqual(directory.find([term(prefix, 'first')]), expected);
    }
    assert.equal(directory.size, model.size);
  });

  it('takes a hundred thousand users', function () {
    this.timeout(30_000);
    const directory = new Directory();
    for (let i = 0; i < 100_000; i++) directory.put(`user${i}`, { first: `Given${i % 5000}`, last: `Family${i}` });
    assert.deepEqual(directory.find([term('family99999', 'last')]), ['user99999']);
    assert.equal(directory.find([term('given4999', 'first')]).length, 20);
    assert.deepEqual(directory.find([term('given', 'first'), term('family7777', 'last')]).slice(0, 2), ['user7777', 'user77770']);
  });
});

describe('user search: words', () => {
  it('are told apart by what is no letter, and simplified', () => {
    assert.deepEqual(wordsOf("Jean-Luc  O'Brien"), ['jean', 'luc', 'o', 'brien']);
    assert.deepEqual(wordsOf('ÅSA Straße Łódź Ærø'), ['asa', 'strasse', 'lodz', 'aero']);
    assert.deepEqual(wordsOf('Ђорђе Ёлка'), ['ђорђе', 'елка']);
    assert.deepEqual(wordsOf('한국 がが 孔丘'), ['한국', 'がが', '孔丘']);
    assert.deepEqual(wordsOf('* % _ 😀 \u202e'), []);
    assert.equal(wordsOf('a b c d e f g h i j k').length, 8);
  });

  it('of one letter say enough only where letters are syllables or words', () => {
    assert.deepEqual(['', 'a', 'ab', '孔', 'ж'].map(saysEnough), [false, false, true, true, true]);
  });
});

describe('vcard: names', () => {
  const names = (inner: string) => readNames(readElement(`<vCard xmlns='vcard-temp'>${inner}</vCard>`));

  it('are read where they are, and left out where they are not', () => {
    assert.deepEqual(names(''), {});
    assert.deepEqual(names('<N><GIVEN> Ann\n Mary </GIVEN><FAMILY/></N><EMAIL>a@b</EMAIL>'), { first: 'Ann Mary', email: 'a@b' });
    assert.deepEqual(names('<EMAIL><INTERNET/><USERID>a@b</USERID></EMAIL><FN>x</FN><NICKNAME>y</NICKNAME>'), {
      full: 'x',
      nick: 'y',
      email: 'a@b',
    });
  });

  it('are no longer than names are, and no character of them is halved', () => {
    const { full } = names(`<FN>${'😀'.repeat(5000)}</FN>`);
    assert.equal(full, '😀'.repeat(128));
    assert.equal(names(`<FN>${'x'.repeat(100_000)}</FN>`).full!.length, 128);
  });
});
