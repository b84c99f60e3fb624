/** Mocha's dots, then the line that CI reads: `N passed, N failed, N skipped`. */
const { reporters } = require('mocha');

class Counting extends reporters.Dot {
  constructor(runner, options) {
    super(runner, options);
    runner.once('end', () => {
      const { passes, failures, pending } = this.stats;
      process.stdout.write(
        `\n${passes} passed, ${failures} failed${pending > 0 ? `, ${pending} skipped` : ''}\n`,
      );
    });
  }
}

module.exports = Counting;
