// Mocha's spec output, closed by the one line CI reads: N passed, N failed, N skipped.
import Mocha from 'mocha';

export default class extends Mocha.reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    runner.once('end', () => {
      const { passes, failures, pending } = runner.stats;
      process.stdout.write(`\n${passes} passed, ${failures} failed, ${pending} skipped\n`);
    });
  }
}
