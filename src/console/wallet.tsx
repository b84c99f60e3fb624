import './styles/tokens.css';
import './styles/base.css';
import './styles/components.css';
import './styles/shell.css';
import './styles/wallet.css';
import { render } from 'preact';
import { applyTheme } from './lib/theme.ts';
import { watchOver } from './wallet/held.ts';
import { WalletApp } from './wallet/wallet-app.tsx';

applyTheme();
watchOver();
const root = document.getElementById('app');
if (root !== null) render(<WalletApp />, root);
