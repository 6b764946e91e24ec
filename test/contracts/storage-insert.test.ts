import assert from 'node:assert/strict';
import { silent } from '../../src/log.ts';
import { openStorage } from '../../src/storage/open.ts';
import { StorageError } from '../../src/storage/storage.ts';
import { ENGINES, Subject } from './storage-subject.ts';

// What every database promises of MapStore.insert; the rest of the contract is in storage.test.ts.

for (const engine of ENGINES) {
  describe(`inserting into a map on ${engine.name} (contract)`, () => {
    const about = Subject.inSuite(engine);

    it('writes what is not there yet, and says whether it did', async () => {
      const { notes } = await about.open();
      assert.equal(await notes.insert('juliet', 'a', { text: 'one' }), true);
      assert.equal(await notes.insert('juliet', 'a', { text: 'two' }), false);
      assert.deepEqual(await notes.get('juliet', 'a'), { text: 'one' });
      assert.equal(await notes.insert('juliet', 'b', { text: 'three' }), true);
      assert.equal(await notes.insert('romeo', 'a', { text: 'four' }), true);
      await notes.update('juliet', new Map([['a', undefined]]));
      assert.equal(await notes.insert('juliet', 'a', { text: 'five' }), true);
      assert.deepEqual(await notes.get('juliet', 'a'), { text: 'five' });
    });

    it('writes one of many that come at once, whoever they come from', async () => {
      const { notes } = await about.open();
      // A second connection is as good as a second process; in memory there is only one.
      const second = engine.isKept ? await openStorage(engine.config(about.folder), silent) : undefined;
      const others = second ? (await about.open(second)).notes : notes;
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, i) => (i % 2 ? notes : others).insert('juliet', 'a', { text: String(i) })),
      );
      await second?.close();
      assert.equal(results.filter(Boolean).length, 1);
      assert.deepEqual(await notes.get('juliet', 'a'), { text: String(results.indexOf(true)) });
    });

    it('refuses names that no database keeps', async () => {
      const { notes } = await about.open();
      for (const name of ['a\0b', '\ud800', 'x\udc00']) {
        await assert.rejects(notes.insert(name, 'a', { text: '' }), StorageError);
        await assert.rejects(notes.insert('juliet', name, { text: '' }), StorageError);
      }
    });
  });
}
