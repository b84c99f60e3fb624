import type { Reason } from '../../src/reason.ts';
import type { Decision } from '../../src/schema/decision.ts';

const base: Decision = {
  decision_id: 'dec_1',
  verdict: 'deny',
  reason: 'policy_denied',
  reasons: [],
  stage: 'policy',
  actor: null,
  result: null,
  strip: [],
  rewrite: [],
  observed: false,
  taintOnResponse: false,
};

/** A decision that lets `bot-1` through. */
export function allowed(changes: Partial<Decision> = {}): Decision {
  return {
    ...base,
    verdict: 'allow',
    reason: 'allowed',
    reasons: ['allowed'],
    actor: {
      subject: 'did:lemma:ppid_1',
      runtime_id: 'bot-1',
      agent_id: 'bot',
      workspace_id: 'prod',
      run_id: 'run-1',
      scope: ['documents.read', 'pay.send'],
    },
    ...changes,
  };
}

export function denied(reason: Reason, changes: Partial<Decision> = {}): Decision {
  return { ...base, reason, reasons: [reason], ...changes };
}

/**
 * Bytes made by the real definitions (go-control-plane/envoy 1.40.0, deterministic marshalling), every field set that
 * `proto/` knows, and a few more.
 */
export const REAL_BYTES = {
  request_raw: [
    '0a85030a3e0a120a100801120831302e302e302e3718d0860312037376631a0a0a036170701203626f74221173706966',
    '66653a2f2f61636d652f626f742a0463657274123d0a110a0f0801120831302e302e302e3818bb0312037376631a0a0a',
    '036170701203626f7422117370696666653a2f2f61636d652f6170692a046365727422aa010a080880f7c4d506100512',
    '9d010a04313233341204504f535422142f76312f646f63756d656e74732f34323f613d312a0f6170692e6578616d706c',
    '652e636f6d320568747470733a017142016648035206485454502f326203ff00806a4c0a1d0a0a3a617574686f726974',
    '791a0f6170692e6578616d706c652e636f6d0a0c0a053a706174681a032f76310a0f0a07782d62797465731a0420e9ff',
    '200a0c0a07782d62797465731a0132521e0a0b6c656d6d615f726f757465120f646f63756d656e74732e77726974655a',
    '110a0f0a016d120a0a080a016112031a016262110a0f6170692e6578616d706c652e636f6d6a110a0f0a0172120a0a08',
    '0a016112031a0162',
  ].join(''),
  request_joined: [
    '0a690a170a1512130a0e2f72756e2f706565722e736f636b108003224e124c12034745541a0c0a06782d6e616d651202',
    'c3a922012f2a146170692e6578616d706c652e636f6d3a3834343332046874747048ffffffffffffffffff0152084854',
    '54502f312e315a0368c3a9',
  ].join(''),
  response_ok: [
    '0a091207616c6c6f77656422420a130a0b6465636973696f6e5f696412041a0264310a2b0a046465657012232a210a16',
    '0a016c1211320f0a0911000000000000f83f0a0220010a070a016e120208001a48121c0a140a0f782d6c656d6d612d73',
    '75626a6563741201731200180220012a0d782d6c656d6d612d70726f6f6632190a110a0a7365742d636f6f6b69651203',
    '633d31120208012001',
  ].join(''),
  response_denied: [
    '0a110810120d617574685f726571756972656412330a0308910312280a200a0c636f6e74656e742d7479706512106170',
    '706c69636174696f6e2f6a736f6e1200180220011a027b7d',
  ].join(''),
} as const;
