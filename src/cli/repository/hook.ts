/** `.githooks/pre-commit`: POSIX sh. What is staged is looked at, since that is what would be committed. */
export const PRE_COMMIT = `#!/bin/sh
# Refuses a commit whose policies are not formatted, are wrong, or fail their tests. Once in each clone:
#   git config core.hooksPath .githooks
set -eu

if ! command -v lemma >/dev/null; then
  echo "pre-commit: lemma is not on the PATH: npm install --global lemma-authz" >&2
  exit 1
fi

# What is staged, which may be other than what lies in the folder.
staged=$(mktemp -d)
trap 'rm -rf "$staged"' EXIT
git ls-files -z -- policies | git checkout-index -z --stdin --prefix="$staged/"
cd "$staged"
if [ ! -d policies ]; then exit 0; fi

# npm sets it for what it runs; paths below are meant from here.
unset INIT_CWD
lemma policy fmt policies --diff
lemma policy check policies
lemma policy test policies
`;
