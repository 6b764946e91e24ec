/** Keeps the benchmark from running at all; its message says what to do. */
export class BenchError extends Error {
  override readonly name = 'BenchError';
}
