import type { CheckpointKeys } from '../decision-log/checkpoint.ts';
import { provenLines } from '../decision-log/export.ts';
import { verifyChain } from '../decision-log/verify.ts';
import type { StoreReader } from '../store/reader.ts';
import { CliError } from './exit.ts';

/** A copy of the store, with what SQLite's own check finds in it. */
export interface Copy extends StoreReader {
  integrity(): string[];
}

/** Whether the file is whole, and the log in it. Throws CliError. `what` names the copy. */
export async function checkCopy(
  copy: Copy,
  keys: CheckpointKeys,
  what: string,
): Promise<{ readonly records: number }> {
  const [problem] = copy.integrity();
  if (problem !== undefined) throw new CliError('backup_broken', `${what} is damaged: ${problem}`);
  const texts = async function* () {
    for await (const { line } of provenLines(copy, 'any')) yield line;
  };
  const report = await verifyChain(texts(), [], keys, { complete: true });
  const [fault] = report.faults;
  if (fault !== undefined) {
    throw new CliError('log_broken', `the log in ${what} does not verify: ${fault.message}`, undefined, {
      faults: report.faults,
    });
  }
  const records = report.chains.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  return { records };
}
