#!/bin/sh
# A root folder that holds Node, the libraries that it links to, an installed Lemma, and nothing else: no shell, no
# package manager. `rootfs.sh <folder to make> <folder with node_modules> [node]`
set -eu

root=$1
app=$2
node=$(readlink -f "${3:-$(command -v node)}")

mkdir -p "$root/bin" "$root/app" "$root/etc/ssl/certs" "$root/etc/lemma" "$root/tmp" "$root/var/lib/lemma"
cp "$node" "$root/bin/node"
cp -R "$app/node_modules" "$root/app/"

# What the loader would look for: of Node, and of each native part that npm brought for this machine.
libraries() {
  ldd "$node"
  find "$app/node_modules" -name '*.node' -exec ldd {} + 2>/dev/null || true
}
libraries | grep -oE '/[^ ]+\.so[^ ]*' | sort -u | while read -r library; do
  # A native part for another libc stands beside ours; what it asks for is not there, and not needed.
  [ -e "$library" ] || continue
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library"
done
# Names are looked up with these; the loader is not told of them.
for library in libnss_files.so.2 libnss_dns.so.2 libresolv.so.2; do
  found=$(find /lib /usr/lib -name "$library" 2>/dev/null | head -n 1)
  [ -z "$found" ] || { mkdir -p "$root$(dirname "$found")" && cp -L "$found" "$root$found"; }
done

printf 'root:x:0:0::/:/none\nlemma:x:65532:65532::/var/lib/lemma:/none\n' >"$root/etc/passwd"
printf 'root:x:0:\nlemma:x:65532:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
[ ! -e /etc/ssl/certs/ca-certificates.crt ] || cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"

# Only its data belongs to it.
chmod 1777 "$root/tmp"
chown 65532:65532 "$root/var/lib/lemma" && chmod 700 "$root/var/lib/lemma"
