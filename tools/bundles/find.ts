import { type Compiler, CompilerUnavailable, openCompiler } from '../../src/policy/compiler/compiler.ts';
import { findOpa } from './opa.ts';

/** Building bundles may take its time, on a busy machine too. */
const TIME_LIMIT_MS = 120_000;

/** The compiler inside Node if it was built, otherwise OPA's command of the same version. */
export async function findCompiler(engine?: string): Promise<Compiler> {
  if (engine !== undefined && engine !== 'wasm' && engine !== 'native')
    throw new Error(`--engine: "${engine}" is neither wasm nor native`);
  const options = { timeLimitMs: TIME_LIMIT_MS };
  if (engine !== 'native') {
    try {
      return await openCompiler({ ...options, engine: 'wasm' });
    } catch (cause) {
      if (engine === 'wasm' || !(cause instanceof CompilerUnavailable)) throw cause;
    }
  }
  return openCompiler({ ...options, engine: 'native', opa: await findOpa() });
}
