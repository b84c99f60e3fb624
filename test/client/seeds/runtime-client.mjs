import fs from 'node:fs/promises';

const proof = JSON.parse(await fs.readFile(process.env.LEMMA_PROOF_FILE, 'utf8'));
const encodedProof = Buffer.from(JSON.stringify(proof)).toString('base64url');
const response = await fetch('https://api.example.com/api/agent/run', {
  method: 'POST',
  headers: {
    'Content-Type': 'application/json',
    'X-Lemma-Credential': encodedProof,
  },
  body: JSON.stringify({ action: 'site.read' }),
});
