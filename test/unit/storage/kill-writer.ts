// Run as a process of its own by kill.test.ts: writes to a database as fast as it can, and says on the standard output what was
// acknowledged, until it is killed.
import { writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { firstIdAt } from '../../../src/ids.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { archiveStore, mapStore } from '../../../src/storage/storage.ts';

/** What is written: items in order, and pairs of values that belong together. */
export const killSpecs = { log: archiveStore(), pairs: mapStore<number>() };

/** The id of a writer's n-th item; ids sort as their numbers. */
export function killId(n: number): string {
  return firstIdAt(n);
}

const WRITERS = 16;

const [, self, file, first] = process.argv;
if (self === fileURLToPath(import.meta.url)) await write(file!, Number(first));

async function write(database: string, from: number): Promise<void> {
  const storage = await openStorage({ type: 'sqlite', file: database }, silent);
  const { log, pairs } = await storage.open('kill.example', 'kill', killSpecs);
  const run = async (owner: string): Promise<never> => {
    for (let n = from; ; n++) {
      const item = { id: killId(n), with: 'a@example', stanza: `<message id='${owner}-${n}'/>` };
      await Promise.all([
        log.append(owner, item),
        pairs.update(
          owner,
          new Map([
            ['left', n],
            ['right', n],
          ]),
        ),
      ]);
      // Synchronous: what has been said has left the process before it goes on.
      writeSync(1, `${owner} ${n}\n`);
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, (_, i) => run(`writer${i}`)));
}
