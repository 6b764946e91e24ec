/** A property of all code points, as runs of equal letters. Decoded when first asked, since most servers never do. */
export class RunTable {
  readonly #encoded: string;
  #ends: Uint32Array | undefined;
  #letters = '';

  /** `encoded` holds each run's length in base 36, then its letter in upper case. */
  constructor(encoded: string) {
    this.#encoded = encoded;
  }

  /** The letter of a code point. */
  at(codePoint: number): string {
    const ends = (this.#ends ??= this.#decode());
    let low = 0;
    let high = ends.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (codePoint < ends[middle]!) high = middle;
      else low = middle + 1;
    }
    return this.#letters[low]!;
  }

  #decode(): Uint32Array {
    const ends: number[] = [];
    let end = 0;
    for (const [, length, letter] of this.#encoded.matchAll(/([0-9a-z]+)([A-Z])/g)) {
      end += Number.parseInt(length!, 36);
      ends.push(end);
      this.#letters += letter;
    }
    return Uint32Array.from(ends);
  }
}
