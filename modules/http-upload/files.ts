import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { type Log, type MapStore, randomToken, StanzaError } from '#core';
import type { BlobStore } from './blobs.ts';
import { type FileRecord, isComplete, isOver, type Owned } from './record.ts';

/** The key of each file's record: its owner in the store is its id. */
const RECORD = 'file';
/** Files looked at in one go. */
const PAGE = 500;

/** What files are kept with. */
export interface FilesParts {
  readonly blobs: BlobStore;
  readonly records: MapStore<FileRecord>;
  /** Of each account: its files by id. */
  readonly owned: MapStore<Owned>;
  /** Bytes of all that an account keeps, and slots that it may have open. */
  readonly limits: { readonly quota: number; readonly maxOpen: number };
  /** For tickets. */
  readonly secret: Buffer;
  readonly log: Log;
}

/** What is asked for. */
export type NewFile = Omit<FileRecord, 'created' | 'secret' | 'sha256'>;

/** A slot, and what lets its owner use it. */
export interface OpenedSlot {
  readonly id: string;
  readonly token: string;
}

/** Files: who has which, and what is kept of them. */
export class Files {
  readonly #parts: FilesParts;
  /** Ids of files that are being written. */
  readonly #busy = new Set<string>();
  /** Sizes of slots that are being opened, by owner. */
  readonly #asked = new Map<string, readonly number[]>();

  constructor(parts: FilesParts) {
    this.#parts = parts;
  }

  /** Opens a slot. Rejects with StanzaError `resource-constraint` when its owner has too much. */
  async open(wanted: NewFile): Promise<OpenedSlot> {
    const { owner, size } = wanted;
    const asked = this.#asked.get(owner) ?? [];
    this.#asked.set(owner, [...asked, size]);
    try {
      await this.#checkRoom(wanted, asked);
      return await this.#open(wanted);
    } finally {
      const left = [...(this.#asked.get(owner) ?? [])];
      left.splice(left.indexOf(size), 1);
      if (left.length > 0) this.#asked.set(owner, left);
      else this.#asked.delete(owner);
    }
  }

  async #open(wanted: NewFile): Promise<OpenedSlot> {
    const id = randomToken(24);
    const token = randomToken(32);
    const record: FileRecord = { ...wanted, created: Date.now(), secret: sha256(token) };
    // First what counts: what is lost in between counts until it is too old.
    await this.#parts.owned.update(wanted.owner, new Map([[id, { size: wanted.size, created: record.created }]]));
    await this.#parts.records.update(id, new Map([[RECORD, record]]));
    return { id, token };
  }

  /** `asked` are the sizes of slots that are being opened just now. */
  async #checkRoom({ owner, size }: NewFile, asked: readonly number[]): Promise<void> {
    const { quota, maxOpen } = this.#parts.limits;
    const owned = await this.#parts.owned.entries(owner);
    let sum = asked.reduce((all, each) => all + each, size);
    for (const each of owned.values()) sum += each.size;
    if (sum > quota) {
      throw new StanzaError('resource-constraint', { type: 'wait', text: `All your files together may have ${quota} bytes` });
    }
    let open = asked.length;
    if (owned.size + open < maxOpen) return;
    for (const id of owned.keys()) {
      const record = await this.find(id);
      if (record && !isComplete(record) && ++open >= maxOpen) {
        throw new StanzaError('resource-constraint', { type: 'wait', text: 'You have asked for too many slots at once' });
      }
    }
  }

  /** A file, or the slot for one; undefined when there is none, or it is over. */
  async find(id: string): Promise<FileRecord | undefined> {
    const record = await this.#parts.records.get(id, RECORD);
    return record && !isOver(record) ? record : undefined;
  }

  /** Whether somebody shows what was given out with the slot. In constant time. */
  isOwner({ secret }: FileRecord, token: string): boolean {
    return timingSafeEqual(Buffer.from(secret, 'hex'), createHash('sha256').update(token).digest());
  }

  /** Does something with a file while nobody else writes it; undefined when somebody does. */
  async alone<T>(id: string, work: () => Promise<T>): Promise<T | undefined> {
    if (this.#busy.has(id)) return undefined;
    this.#busy.add(id);
    try {
      return await work();
    } finally {
      this.#busy.delete(id);
    }
  }

  offset(id: string): Promise<number> {
    return this.#parts.blobs.offset(id);
  }

  /**
   * Takes bytes from an offset on. Only alone. Resolves to the new offset, also when the body breaks off; what is below it is durable. No
   * more is taken than the file has.
   */
  append(id: string, { size }: FileRecord, from: number, body: AsyncIterable<Buffer>): Promise<number> {
    return this.#parts.blobs.append(id, from, body, size);
  }

  /** All bytes are there: the file is whole, and kept until then (undefined: for ever). Only alone; resolves once that is durable. */
  async complete(id: string, record: FileRecord, until: number | undefined): Promise<void> {
    const { blobs, records } = this.#parts;
    const hash = await blobs.finish(id);
    const { expires: _, ...rest } = record;
    await records.update(id, new Map([[RECORD, { ...rest, sha256: hash, ...(until !== undefined && { expires: until }) }]]));
  }

  read(id: string, range: { readonly start: number; readonly end: number }) {
    return this.#parts.blobs.read(id, range);
  }

  /** Notes for whom a file is. */
  async share(id: string, record: FileRecord, jid: string): Promise<void> {
    await this.#parts.records.update(id, new Map([[RECORD, { ...record, with: jid }]]));
  }

  /** Removes a file. */
  async remove(id: string, { owner }: Pick<FileRecord, 'owner'>): Promise<void> {
    const { blobs, owned, records } = this.#parts;
    // The record first: without it nobody finds the rest.
    await records.update(id, new Map([[RECORD, undefined]]));
    await blobs.remove(id);
    await owned.update(owner, new Map([[id, undefined]]));
  }

  /** Removes all files of an account. */
  async removeAll(owner: string): Promise<void> {
    for (const id of (await this.#parts.owned.entries(owner)).keys()) await this.remove(id, { owner });
  }

  /** Removes what is over; for now and then. */
  async expire(stopping: AbortSignal): Promise<void> {
    for (let after: string | undefined; !stopping.aborted; ) {
      const page = await this.#parts.records.scan(RECORD, after, PAGE);
      for (const [id, record] of page) {
        if (stopping.aborted) return;
        // One that is being written just now is looked at the next time.
        if (isOver(record)) await this.alone(id, () => this.remove(id, record));
      }
      after = page.at(-1)?.[0];
      if (after === undefined) return;
    }
  }

  /** What lets somebody (or whoever has it, for '') fetch a file until then. */
  writeTicket(id: string, bearer: string, until: number): string {
    const about = `${until.toString(36)}.${Buffer.from(bearer).toString('base64url')}`;
    return `${about}.${this.#sign(id, about)}`;
  }

  /** Whether a ticket is ours, for this file, and still good. In constant time. */
  isTicket(id: string, ticket: string): boolean {
    const match = /^([0-9a-z]{1,12})\.([\w-]{0,2048})\.([\w-]{43})$/.exec(ticket);
    if (!match) return false;
    const given = Buffer.from(match[3]!);
    const right = Buffer.from(this.#sign(id, `${match[1]}.${match[2]}`));
    return timingSafeEqual(given, right) && Number.parseInt(match[1]!, 36) > Date.now();
  }

  #sign(id: string, about: string): string {
    return createHmac('sha256', this.#parts.secret).update(`${id}.${about}`).digest('base64url');
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
