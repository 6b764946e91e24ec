import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { timeOf } from '../../../src/ids.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import type { ArchiveItem, Stores } from '../../../src/storage/storage.ts';
import { killId, killSpecs } from './kill-writer.ts';

const script = fileURLToPath(new URL('./kill-writer.js', import.meta.url));
const ROUNDS = 4;
/** The process is killed after one of these many lines, which is in the middle of other writes. */
const MIN_LINES = 20;
const MAX_LINES = 400;

/** By owner, the numbers of the items that were acknowledged, in order. */
type Ledger = Map<string, number[]>;

describe('SQLite and kill -9', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parlance-kill-'));
  });

  afterEach(() => rm(folder, { recursive: true, force: true }));

  it(`keeps what was acknowledged, whole and in order, in ${ROUNDS} kills`, async () => {
    const file = join(folder, 'data', 'kill.sqlite');
    const acknowledged: Ledger = new Map();
    let next = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const said = await writeUntilKilled(file, next, acknowledged);
      assert.equal(said >= MIN_LINES, true, 'the process was killed before it had acknowledged anything');
      next = (await check(file, acknowledged)) + 1;
    }
  });
});

/** Runs a process that writes items from `from` on, and kills it; returns how many lines it said. */
async function writeUntilKilled(file: string, from: number, acknowledged: Ledger): Promise<number> {
  const child = spawn(process.execPath, [script, file, String(from)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const enough = randomInt(MIN_LINES, MAX_LINES);
  let said = 0;
  // What was said before the kill and is still in the pipe counts too. The line it was killed in has no end, and is not whole.
  for await (const line of createInterface({ input: child.stdout })) {
    const match = /^(writer\d+) (\d+)$/.exec(line);
    if (!match) continue;
    acknowledged.set(match[1]!, [...(acknowledged.get(match[1]!) ?? []), Number(match[2])]);
    if (++said === enough) child.kill('SIGKILL');
  }
  const [, signal] = (await exited) as [number | null, string | null];
  assert.equal(signal, 'SIGKILL');
  return said;
}

/** Compares the database with what was acknowledged; returns the greatest number there is. */
async function check(file: string, acknowledged: Ledger): Promise<number> {
  const storage = await openStorage({ type: 'sqlite', file }, silent);
  try {
    const stores = await storage.open('kill.example', 'kill', killSpecs);
    const last: number[] = [];
    for (const [owner, numbers] of acknowledged) last.push(await checkOwner(stores, owner, numbers));
    const [row] = (await storage.sql.raw('PRAGMA integrity_check')) as readonly { readonly integrity_check: string }[];
    assert.equal(row?.integrity_check, 'ok');
    return Math.max(...last);
  } finally {
    await storage.close();
  }
}

/** Every item is there, unharmed, and an update is there as a whole. Returns the greatest number there is. */
async function checkOwner(
  { log, pairs }: Stores<typeof killSpecs>,
  owner: string,
  acknowledged: readonly number[],
): Promise<number> {
  const { items } = await log.query(owner, {});
  const numbers = items.map(({ id }) => timeOf(id)!);
  assert.deepEqual(
    items,
    numbers.map((n) => itemOf(owner, n)),
  );
  const found = new Set(numbers);
  assert.deepEqual(
    acknowledged.filter((n) => !found.has(n)),
    [],
    `${owner}: acknowledged and lost`,
  );
  // Each item waits for the one before, so at each kill one was under way, and may have been stored without an answer.
  assert.equal(numbers.length - acknowledged.length <= ROUNDS, true, `${owner}: items that nobody has written`);
  const values = await pairs.entries(owner);
  assert.equal(values.get('left'), values.get('right'), `${owner}: half of an update was stored`);
  assert.equal(values.get('left')! >= acknowledged.at(-1)!, true, `${owner}: an acknowledged update is lost`);
  return numbers.at(-1)!;
}

function itemOf(owner: string, n: number): ArchiveItem {
  return { id: killId(n), with: 'a@example', resource: '', tag: 0, stanza: `<message id='${owner}-${n}'/>` };
}
