import type { Target } from './target.ts';
import { bundle } from './targets/bundle.ts';
import { checkRequest } from './targets/check-request.ts';
import { config } from './targets/config.ts';
import { credential } from './targets/credential.ts';
import { json } from './targets/json.ts';
import { path } from './targets/path.ts';
import { structuredField } from './targets/structured-field.ts';

export const TARGETS: readonly Target[] = [
  json,
  structuredField,
  path,
  checkRequest,
  bundle,
  config,
  credential,
];
