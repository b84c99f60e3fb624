/** Mocha's dots, each failure as soon as it is known, then the line that CI reads: `N passed, N failed, N skipped`. */
const { reporters } = require('mocha');

class Counting extends reporters.Dot {
  constructor(runner, options) {
    super(runner, options);
    // A whole run takes half an hour: whoever watches it need not wait for the list at its end.
    runner.on('fail', (test, error) => {
      process.stdout.write(`\n  ${test.fullTitle()}\n  ${test.file ?? ''}\n  ${error.message ?? error}\n  `);
    });
    runner.once('end', () => {
      const { passes, failures, pending } = this.stats;
      process.stdout.write(
        `\n${passes} passed, ${failures} failed${pending > 0 ? `, ${pending} skipped` : ''}\n`,
      );
    });
  }
}

module.exports = Counting;
