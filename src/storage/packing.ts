import type { Statement, Value } from './engine.ts';
import type { SqliteOutcome } from './sqlite-connection.ts';

/**
 * Writes in the form in which they are handed to another thread. What is copied there costs for each object and each string, far more than
 * for its bytes: so all texts are one string, and all else is numbers.
 */
export interface PackedWrites {
  /** The text of each kind of statement, once. */
  readonly sqls: readonly string[];
  /**
   * For each write how many statements it has; for each of these which text and how many values; for each value how long it is in
   * `text`, or one of KIND.
   */
  readonly shape: Int32Array;
  readonly text: string;
  readonly numbers: Float64Array;
  readonly lists: readonly (readonly string[])[];
}

/** What became of them: all numbers of changed rows one after the other, or each outcome where some failed. */
export type PackedOutcomes = Int32Array | readonly SqliteOutcome[];

const KIND = { null: -1, number: -2, list: -3 } as const;

/** Packs writes. */
export function packWrites(writes: readonly (readonly Statement[])[]): PackedWrites {
  const known = new Map<string, number>();
  const shape: number[] = [];
  const texts: string[] = [];
  const numbers: number[] = [];
  const lists: (readonly string[])[] = [];
  const pack = (value: Value | readonly string[]): number => {
    if (typeof value === 'string') {
      texts.push(value);
      return value.length;
    }
    if (value === null) return KIND.null;
    if (typeof value === 'number') {
      numbers.push(value);
      return KIND.number;
    }
    lists.push(value);
    return KIND.list;
  };
  for (const statements of writes) {
    shape.push(statements.length);
    for (const { sql, values } of statements) {
      let which = known.get(sql);
      if (which === undefined) known.set(sql, (which = known.size));
      shape.push(which, values.length);
      for (const value of values) shape.push(pack(value));
    }
  }
  const text = texts.join('');
  return { sqls: [...known.keys()], shape: Int32Array.from(shape), text, numbers: Float64Array.from(numbers), lists };
}

/** What was packed. */
export function unpackWrites({ sqls, shape, text, numbers, lists }: PackedWrites): readonly (readonly Statement[])[] {
  const writes: (readonly Statement[])[] = [];
  let at = 0;
  let number = 0;
  let list = 0;
  const unpack = (kind: number): Value | readonly string[] => {
    if (kind === KIND.null) return null;
    if (kind === KIND.number) return numbers[number++]!;
    if (kind === KIND.list) return lists[list++]!;
    return text.slice(at, (at += kind));
  };
  for (let i = 0; i < shape.length; ) {
    const statements: Statement[] = [];
    for (let left = shape[i++]!; left > 0; left--) {
      const sql = sqls[shape[i++]!]!;
      const values: (Value | readonly string[])[] = [];
      for (let count = shape[i++]!; count > 0; count--) values.push(unpack(shape[i++]!));
      statements.push({ sql, values });
    }
    writes.push(statements);
  }
  return writes;
}

/** Packs what became of writes. */
export function packOutcomes(outcomes: readonly SqliteOutcome[]): PackedOutcomes {
  const counts: number[] = [];
  for (const outcome of outcomes) {
    if ('code' in outcome) return outcomes;
    for (const count of outcome) counts.push(count);
  }
  return Int32Array.from(counts);
}

/** What was packed, of these writes. */
export function unpackOutcomes(packed: PackedOutcomes, writes: readonly (readonly Statement[])[]): readonly SqliteOutcome[] {
  if (!(packed instanceof Int32Array)) return packed;
  let at = 0;
  return writes.map(({ length }) => [...packed.subarray(at, (at += length))]);
}
