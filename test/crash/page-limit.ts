// Loaded into a server before anything else (node --import), and into each of its threads: takes away the room that SQLite has, or gives
// it back, as a file says. What SQLite then reports, and what becomes of it, is the real thing; and nobody has to be root for it.
import { readFileSync } from 'node:fs';
import Database from 'better-sqlite3';

const UNLIMITED = 4_294_967_294;
const file = process.env['PARLANCE_TEST_PAGES'];
const { prepare } = Database.prototype;

Database.prototype.prepare = function (this: Database.Database, sql: string) {
  const statement = prepare.call(this, sql);
  if (sql !== 'BEGIN IMMEDIATE') return statement;
  return new Proxy(statement, {
    get: (target, key) => {
      // A limit below what there is counts as one at what there is.
      if (key === 'run') this.pragma(`max_page_count = ${isFull() ? 1 : UNLIMITED}`);
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
} as typeof prepare;

function isFull(): boolean {
  try {
    return file !== undefined && readFileSync(file, 'utf8') === 'full';
  } catch {
    return false;
  }
}
