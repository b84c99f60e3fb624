import { useEffect, useState } from 'preact/hooks';
import { ApiError, onSignedOut } from './lib/api.ts';
import { asApiError } from './lib/query.ts';
import { currentSession, type Me, MeContext, signOut } from './lib/session.ts';
import { Routes } from './routes.tsx';
import { SignInPage } from './sign-in.tsx';
import { Failed, Loading } from './ui/states.tsx';
import { Toasts } from './ui/toasts.tsx';

type Who = Me | 'asking' | 'nobody' | ApiError;

export function App() {
  const [who, setWho] = useState<Who>('asking');
  const ask = () => {
    setWho('asking');
    currentSession().then(setWho, (error: unknown) => {
      const failed = asApiError(error);
      setWho(failed.status === 401 ? 'nobody' : failed);
    });
  };
  useEffect(() => {
    onSignedOut(() => setWho('nobody'));
    ask();
  }, []);
  if (who === 'asking') return <Loading />;
  if (who === 'nobody') return <SignInPage onSignedIn={setWho} />;
  if (who instanceof ApiError) return <Failed error={who} retry={ask} />;
  const leave = () => {
    signOut().then(
      () => setWho('nobody'),
      (error: unknown) => setWho(asApiError(error)),
    );
  };
  return (
    <MeContext.Provider value={who}>
      <Routes onSignOut={leave} />
      <Toasts />
    </MeContext.Provider>
  );
}
