import { createRequire } from 'node:module';
import { type Bundle, entrypointOf, fileOf } from '../../src/policy/bundle.ts';

interface SdkPolicy {
  setData(data: ArrayBuffer): void;
  evaluate(input: ArrayBuffer, entrypoint: string): unknown;
}

interface Sdk {
  loadPolicySync(module: WebAssembly.Module, memory: { initial: number; maximum: number }): SdkPolicy;
}

const sdk = createRequire(import.meta.url)('@open-policy-agent/opa-wasm') as Sdk;

/** A bundle as OPA's own SDK runs it: no budget, no image, one instance for all. Gives the decision, as JSON. */
export function plainPolicy(bundle: Bundle): (input: Uint8Array) => string {
  const module = new WebAssembly.Module(fileOf(bundle, 'policy.wasm'));
  const policy = sdk.loadPolicySync(module, { initial: 5, maximum: 8192 });
  policy.setData(new Uint8Array(fileOf(bundle, 'data.json')).buffer);
  return (input) => {
    const resultSet = policy.evaluate(new Uint8Array(input).buffer, entrypointOf(bundle.name));
    const [entry] = resultSet as { result: unknown }[];
    return JSON.stringify(entry?.result);
  };
}
