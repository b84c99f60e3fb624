import { app } from './application.mjs';
import { verifyCredentialWithTrust } from 'lemma-authz/express';

app.post('/api/agent/run', async (req, res) => {
  const encoded = (req.header('X-Lemma-Credential') || '').trim();
  if (!encoded) {
    return res.status(401).json({ success: false, error: 'auth_required' });
  }
  const credential = JSON.parse(Buffer.from(encoded, 'base64url').toString('utf8'));
  const verification = await verifyCredentialWithTrust(credential);
  if (!verification.valid) {
    return res.status(401).json({ success: false, error: 'invalid_lemma' });
  }
  return res.json({ success: true, actor: credential.subject });
});
