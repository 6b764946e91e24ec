import type { CardNames } from '../vcard/index.ts';
import { simplify, wordsOf } from './words.ts';

/** What is looked into: given name, family name, nickname, full name, e-mail address, username. */
export type Place = 'first' | 'last' | 'nick' | 'full' | 'email' | 'user';

/** What somebody searches for: a word that begins so, in any of these places. */
export interface Term {
  readonly places: readonly Place[];
  /** Simplified. */
  readonly prefix: string;
  /** It is the whole word. */
  readonly isWhole?: boolean;
}

/** Users by number: nearly all words are of one. */
type Users = number | number[];

/** Each word stands with the place it is from in front, so that those of one place are beside each other. */
const KEYS: Readonly<Record<Place, string>> = { first: 'f', last: 'l', nick: 'n', full: 'a', email: 'e', user: 'u' };
/** So many new words are put in one by one; more are sorted in together. */
const FEW = 256;
/** Numbers that are no user's any more, beyond which all are numbered anew. */
const MANY_DEAD = 1000;

/**
 * Finds users by the beginnings of words. All words are in one sorted list, each with the users that have it: a look-up by a beginning is a
 * binary search. Users are numbers in it, and one who changes gets another number: nothing has to be looked for to take the old words out.
 * It takes about 450 bytes for a user.
 */
export class Directory {
  #words: string[] = [];
  #users: Users[] = [];
  /** Not sorted in yet. */
  readonly #fresh = new Map<string, Users>();
  #names: (string | undefined)[] = [];
  readonly #numbers = new Map<string, number>();

  /** How many users are in it. */
  get size(): number {
    return this.#numbers.size;
  }

  has(username: string): boolean {
    return this.#numbers.has(username);
  }

  /** Puts a user in, under what they are called now. */
  put(username: string, names: CardNames): void {
    this.remove(username);
    const number = this.#names.push(username) - 1;
    this.#numbers.set(username, number);
    for (const place of ['first', 'last', 'nick', 'full'] as const) {
      for (const word of wordsOf(names[place] ?? '')) this.#add(KEYS[place] + word, number);
    }
    // Addresses are not taken apart: by a word of it everybody of a company would be found.
    if (names.email !== undefined) this.#add(KEYS.email + simplify(names.email), number);
    this.#add(KEYS.user + simplify(username), number);
  }

  /** Takes a user out. */
  remove(username: string): void {
    const number = this.#numbers.get(username);
    if (number === undefined) return;
    this.#numbers.delete(username);
    this.#names[number] = undefined;
    const dead = this.#names.length - this.#numbers.size;
    if (dead > Math.max(MANY_DEAD, this.#numbers.size)) this.#renumber();
  }

  /**
   * Users for whom all terms are true, in order, at most so many: then those whose words are nearest to the first term. However common the
   * words are, it costs little more than walking over those who have them.
   */
  find(terms: readonly Term[], max = Number.POSITIVE_INFINITY): readonly string[] {
    const [first, ...others] = terms;
    if (!first) return [];
    this.#sortIn();
    /** Of each user, how many of the other terms are true, one after the other. */
    const met = new Uint8Array(others.length === 0 ? 0 : this.#names.length);
    for (const [i, term] of others.entries()) {
      for (const number of this.#lookUp(term)) if (met[number] === i) met[number] = i + 1;
    }
    const found = new Set<string>();
    for (const number of this.#lookUp(first)) {
      const username = this.#names[number];
      if (username === undefined || (others.length > 0 && met[number] !== others.length)) continue;
      found.add(username);
      if (found.size >= max) break;
    }
    return [...found].sort();
  }

  /** The numbers of those for whom a term is true, some of them twice, and of some who are gone. */
  *#lookUp({ places, prefix, isWhole }: Term): Iterable<number> {
    for (const place of places) {
      const key = KEYS[place] + prefix;
      for (let i = this.#indexOf(key); i < this.#words.length && this.#words[i]!.startsWith(key); i++) {
        if (isWhole && this.#words[i] !== key) break;
        const users = this.#users[i]!;
        if (typeof users === 'number') yield users;
        else yield* users;
      }
    }
  }

  #add(word: string, number: number): void {
    const i = this.#indexOf(word);
    if (this.#words[i] === word) this.#users[i] = join(this.#users[i], number);
    else this.#fresh.set(word, join(this.#fresh.get(word), number));
  }

  #sortIn(): void {
    if (this.#fresh.size === 0) return;
    if (this.#fresh.size <= FEW) {
      for (const [word, users] of this.#fresh) {
        const i = this.#indexOf(word);
        this.#words.splice(i, 0, word);
        this.#users.splice(i, 0, users);
      }
    } else {
      const fresh = [...this.#fresh].sort(([one], [other]) => (one < other ? -1 : 1));
      this.#merge(fresh);
    }
    this.#fresh.clear();
  }

  #merge(fresh: readonly (readonly [string, Users])[]): void {
    const words: string[] = [];
    const users: Users[] = [];
    let i = 0;
    for (const [word, some] of fresh) {
      for (; i < this.#words.length && this.#words[i]! < word; i++) {
        words.push(this.#words[i]!);
        users.push(this.#users[i]!);
      }
      words.push(word);
      users.push(some);
    }
    for (; i < this.#words.length; i++) {
      words.push(this.#words[i]!);
      users.push(this.#users[i]!);
    }
    this.#words = words;
    this.#users = users;
  }

  #renumber(): void {
    this.#sortIn();
    const numbers = new Map<number, number>();
    const names: string[] = [];
    for (const [old, username] of this.#names.entries()) {
      if (username !== undefined) numbers.set(old, names.push(username) - 1);
    }
    const words: string[] = [];
    const users: Users[] = [];
    for (const [i, word] of this.#words.entries()) {
      const [first, ...more] = toList(this.#users[i]!).flatMap((old) => numbers.get(old) ?? []);
      if (first === undefined) continue;
      words.push(word);
      users.push(more.length === 0 ? first : [first, ...more]);
    }
    this.#words = words;
    this.#users = users;
    this.#names = names;
    for (const [number, username] of names.entries()) this.#numbers.set(username, number);
  }

  /** Where a word stands, or would. */
  #indexOf(word: string): number {
    let low = 0;
    let high = this.#words.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#words[middle]! < word) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function toList(users: Users): readonly number[] {
  return typeof users === 'number' ? [users] : users;
}

function join(users: Users | undefined, number: number): Users {
  if (users === undefined) return number;
  if (typeof users === 'number') return [users, number];
  users.push(number);
  return users;
}
