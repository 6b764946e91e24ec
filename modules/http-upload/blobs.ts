import type { Readable } from 'node:stream';

/** What keeps the bytes. Ids are plain: letters, digits, `-` and `_`. */
export interface BlobStore {
  /** How many bytes of an unfinished one there are; 0 when it was not begun. */
  offset(id: string): Promise<number>;
  /**
   * Writes from an offset on, over what was behind it, until the body ends or `max` bytes are there. Resolves to the new offset, also when
   * the body breaks off; what is below it is durable. Rejects when it cannot be written.
   */
  append(id: string, offset: number, body: AsyncIterable<Buffer>, max: number): Promise<number>;
  /** Makes a whole one visible, after which it does not change any more. Resolves to its SHA-256 in hex, once that is durable. */
  finish(id: string): Promise<string>;
  /** The bytes from `start` to `end`, both included. Rejects when there is no such whole blob. */
  read(id: string, range: { readonly start: number; readonly end: number }): Promise<Readable>;
  /** Removes what there is of it. */
  remove(id: string): Promise<void>;
}
