import './styles/tokens.css';
import './styles/base.css';
import './styles/components.css';
import './styles/shell.css';
import { render } from 'preact';
import { applyTheme } from './lib/theme.ts';
import { Mark } from './ui/icons.tsx';

applyTheme();
const root = document.getElementById('app');
if (root !== null)
  render(
    <main class="state" id="content">
      <Mark size={40} />
      <h1>Wallet</h1>
      <p>
        Sign in at <a href="/admin/agent-ops">Agent Ops</a> with your key file.
      </p>
    </main>,
    root,
  );
